import msgspec

from runtime.invocation import Status
from runtime.store.changes import Change
from runtime.store.channels import Listener, StatusChannel

NEWS = msgspec.msgpack.encode(["id-1", "f", "1", "3", "1000000", "", "", "", ""])


MANY = 100_000


def listening(channel: StatusChannel, *, function: str | None = None) -> Listener:
    listener = Listener(function=function)
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
    (change,) = early.take(MANY)
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
    assert early.take(MANY) == []


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
    assert len(listener.take(MANY)) == 10_000


def test_what_is_heard_is_taken_in_parts_and_none_is_left() -> None:
    channel = StatusChannel(Status.QUEUED)
    listener = listening(channel)
    for number in range(5):
        channel.tell(msgspec.msgpack.encode([f"id-{number}", "f", "1", "3", "1", "", "", "", ""]))

    taken = []
    while listener.changed.is_set():
        listener.changed.clear()
        taken.append([change.id for change in listener.take(2)])

    assert taken == [["id-0", "id-1"], ["id-2", "id-3"], ["id-4"]]


def test_who_listens_to_a_function_is_not_woken_for_another() -> None:
    channel = StatusChannel(Status.QUEUED)
    listener, other = listening(channel, function="f"), listening(channel, function="g")
    channel.tell(NEWS)

    assert listener.changed.is_set()
    assert [change.id for change in listener.take(MANY)] == ["id-1"]
    assert not other.changed.is_set()
    assert other.take(MANY) == []


def test_a_change_is_put_as_it_is_sent_once_for_all_who_listen() -> None:
    channel = StatusChannel(Status.QUEUED)
    listeners = [listening(channel) for _ in range(20)]
    channel.tell(NEWS)
    made = []

    def make(change: Change) -> bytes:
        made.append(change.id)
        return b"sent"

    sent = [change.once(make) for listener in listeners for change in listener.take(MANY)]

    assert sent == [b"sent"] * 20
    assert made == ["id-1"]


def test_what_is_not_ours_is_passed_over() -> None:
    channel = StatusChannel(Status.QUEUED)
    listener = listening(channel)
    for news in (b"", b"running", b"\xff", msgspec.msgpack.encode(["id"])):
        channel.tell(news)

    assert listener.take(MANY) == []
    assert not listener.changed.is_set()
