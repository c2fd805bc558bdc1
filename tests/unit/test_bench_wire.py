import pytest

from loadtests.bench import wire

ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nx: y\r\n\r\n{}"


def test_an_answer_is_read_with_its_body() -> None:
    answer = wire.parse(ANSWER + b"HTTP/1.1")

    assert answer is not None
    assert answer.status == 202
    assert ANSWER[answer.body_start : answer.end] == b"{}"
    assert not wire.closes(ANSWER, answer)


@pytest.mark.parametrize("length", range(len(ANSWER)))
def test_an_answer_that_is_not_complete_is_none(length: int) -> None:
    assert wire.parse(ANSWER[:length]) is None


def test_an_answer_may_end_the_connection() -> None:
    received = b"HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n"
    answer = wire.parse(received)

    assert answer is not None
    assert wire.closes(received, answer)


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"nonsense of another protocol\r\ncontent-length: 0\r\n\r\n",
    ],
)
def test_what_is_not_understood_is_an_error(received: bytes) -> None:
    with pytest.raises(wire.NotHttpError):
        wire.parse(received)


def test_a_request_is_sent_with_its_length() -> None:
    sent = wire.request("POST", "/x", host="h", body=b"{}", headers={"Prefer": "wait=1"})

    assert sent == (
        b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\nPrefer: wait=1\r\n\r\n{}"
    )
