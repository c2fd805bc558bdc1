"""What a worker and its executors say to each other, however the stream is cut."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.store.claims import LARGEST_TICKET_PAYLOAD_BYTES
from runtime.worker.executor.job import (
    LARGEST_ORDER_BYTES,
    Answer,
    AnswerReader,
    Job,
    Outcome,
    Report,
    Stop,
    Yielded,
    decode_order,
    encode_answer,
    encode_order,
)

numbers = st.integers(0, 2**62)
texts = st.text(max_size=40)
answers = st.lists(
    st.one_of(
        st.builds(
            Outcome,
            number=numbers,
            run_seconds=st.floats(0, 1e6),
            result=st.none() | st.binary(max_size=300),
            error=st.none() | st.binary(max_size=300),
            celery_result=st.binary(max_size=300),
            traceback=texts,
            retry_seconds=st.none() | st.floats(0, 1e6),
            dead_letter=st.none() | texts,
        ),
        st.builds(Report, number=numbers, progress=st.binary(max_size=50)),
        st.builds(Yielded, number=numbers, part=numbers, chunks=st.binary(max_size=300)),
    ),
    max_size=8,
)
A_JOB = Job(
    number=1,
    id="id",
    function="f",
    payload=b"{}",
    attempt=1,
    failures=0,
    age_seconds=0.5,
    timeout_seconds=30.0,
    request_id=None,
)


@given(said=answers, cuts=st.lists(st.integers(0, 5000)))
def test_answers_come_out_as_they_went_in_wherever_the_stream_is_cut(
    said: list[Answer], cuts: list[int]
) -> None:
    stream = b"".join(map(encode_answer, said))
    at = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = AnswerReader()

    heard = [one for start, end in itertools.pairwise(at) for one in reader.feed(stream[start:end])]

    assert heard == said


def test_byte_by_byte_an_answer_comes_with_its_last_one() -> None:
    frame = encode_answer(Outcome(number=1, run_seconds=0.0, result=b"1"))
    reader = AnswerReader()

    for byte in frame[:-1]:
        assert list(reader.feed(bytes([byte]))) == []
    assert [one.number for one in reader.feed(frame[-1:])] == [1]


def test_what_was_not_finished_is_never_given_out() -> None:
    whole = encode_answer(Report(1, b"0.5"))
    half = encode_answer(Outcome(number=2, run_seconds=0.0, result=b"x" * 1000))[:-1]

    assert list(AnswerReader().feed(whole + half)) == [Report(1, b"0.5")]


def test_an_answer_may_have_megabytes() -> None:
    said = Outcome(number=1, run_seconds=0.0, result=bytes(3_000_000))
    stream = encode_answer(said) * 2
    reader = AnswerReader()

    heard = [
        one
        for at in range(0, len(stream), 262_144)
        for one in reader.feed(stream[at : at + 262_144])
    ]

    assert heard == [said, said]


@pytest.mark.parametrize("request_id", [None, "", "req-7 ü"])
@pytest.mark.parametrize("payload", [None, b"", b"\x00\xff"])
def test_a_job_comes_through_whole(payload: bytes | None, request_id: str | None) -> None:
    job = msgspec.structs.replace(A_JOB, payload=payload, request_id=request_id)

    assert decode_order(encode_order(job)) == job


def test_a_stop_is_told_from_a_job() -> None:
    assert decode_order(encode_order(Stop(7, last=9))) == Stop(7, last=9)


def test_a_job_with_the_largest_payload_that_is_passed_around_is_not_cut() -> None:
    job = msgspec.structs.replace(
        A_JOB,
        id="i" * 200,
        function="f" * 200,
        payload=b"x" * LARGEST_TICKET_PAYLOAD_BYTES,
        request_id="r" * 200,
    )

    assert len(encode_order(job)) < LARGEST_ORDER_BYTES
