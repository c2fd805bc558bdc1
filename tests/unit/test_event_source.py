from runtime.cli.event_source import Event, parse


def test_events_and_comments_are_told_apart() -> None:
    lines = [
        b"retry: 2000",
        b"",
        b"event: status",
        b"id: 7",
        b'data: {"a":',
        b"data:  1}",
        b"",
        b":",
        b"",
        b"data:2",
        b"",
        b"event: cut off",
        b"data: 3",
    ]

    assert list(parse(iter(lines))) == [
        Event(type="status", data={"a": 1}),
        None,
        Event(type="message", data=2),
    ]
