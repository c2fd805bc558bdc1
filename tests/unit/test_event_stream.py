import asyncio
import json

import pytest

from runtime.web.event_stream import Event, OpenStream


def test_an_event_is_framed_as_the_specification_says() -> None:
    event = Event(type="status", data=b'{"a":\r\n 1,\r"b":\n2}', id="7")

    assert event.encode() == (
        b'event: status\nid: 7\ndata: {"a":\ndata:  1,\ndata: "b":\ndata: 2}\n\n'
    )


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_what_some_clients_take_for_a_line_end_is_escaped(character: str) -> None:
    sent = Event.of("status", {"text": f"a{character}b"}).encode().decode()

    assert sent.splitlines() == sent.split("\n")[:-1]
    assert json.loads(sent.splitlines()[1].removeprefix("data: ")) == {"text": f"a{character}b"}


def test_ids_differ_as_values_do() -> None:
    ids = [Event.of("status", {"a": value}, has_id=True).id for value in (1, 1, 2)]

    assert ids[0] == ids[1] != ids[2]


def test_a_quiet_stream_says_so_until_there_is_news() -> None:
    async def check() -> None:
        stream = OpenStream(changed=asyncio.Event(), quiet_seconds=0.001)
        said = []
        async for comment in stream.wait():
            said.append(comment)
            if len(said) == 3:
                stream.changed.set()
        assert said == [b":\n\n"] * 3
        assert not stream.changed.is_set()
        assert not stream.is_over
        stream.end()
        assert [comment async for comment in stream.wait()] == []
        assert stream.is_over

    asyncio.run(check())
