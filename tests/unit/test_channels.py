import msgspec

from runtime.invocation import Status
from runtime.store.channels import Listener, StatusChannel

NEWS = msgspec.msgpack.encode(["id-1", "f", "1", "3", "1000000", "", "", "", ""])


def listening(channel: StatusChannel) -> Listener:
    listener = Listener()
    channel.add(listener)
    return listener


def test_who_listens_is_told_once_the_subscription_is_in_force() -> None:
    channel = StatusChannel(Status.QUEUED)
    early = listening(channel)
    assert not early.is_listening

    channel.confirm()
    channel.tell(NEWS)

    assert early.is_listening
    assert listening(channel).is_listening
    (change,) = early.take()
    assert change.to_json() == {
        "id": "id-1",
        "function": "f",
        "status": "queued",
        "attempt": 1,
        "max_attempts": 3,
        "accepted_at": "1970-01-01T00:00:01.000000Z",
        "due_at": None,
        "started_at": None,
        "finished_at": None,
        "queue_wait_ms": None,
        "run_ms": None,
    }
    assert early.take() == []


def test_a_lost_connection_may_have_missed_something() -> None:
    channel = StatusChannel(Status.QUEUED)
    listener = listening(channel)
    channel.lose()
    assert not listener.has_missed  # it had not begun

    channel.confirm()
    channel.lose()

    assert listener.has_missed
    assert not listener.is_listening


def test_who_reads_too_slowly_misses_something_and_costs_no_more() -> None:
    channel = StatusChannel(Status.QUEUED)
    listener = listening(channel)
    for _ in range(20_000):
        channel.tell(NEWS)

    assert listener.has_missed
    assert len(listener.take()) == 10_000


def test_what_is_not_ours_is_passed_over() -> None:
    channel = StatusChannel(Status.QUEUED)
    listener = listening(channel)
    for news in (b"", b"running", b"\xff", msgspec.msgpack.encode(["id"])):
        channel.tell(news)

    assert listener.take() == []
    assert not listener.changed.is_set()
