"""Who is handed what, and who waits for whom; with executors that only take note."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from runtime.function import Function, function
from runtime.settings import Settings
from runtime.store.claims import LARGEST_TICKET_PAYLOAD_BYTES, Claim, Ticket
from runtime.store.lifecycle import Started, Verdict
from runtime.worker.dispatcher import Dispatcher
from runtime.worker.lanes import Lanes


@function
def quick() -> None:
    """Take no time."""


@function
def held() -> None:
    """Be limited."""


@function(threads=1)
def single() -> None:
    """Run in one thread."""


@function(threads=8)
def many() -> None:
    """Run in eight."""


FUNCTIONS: dict[str, Function[..., Any]] = {one.name: one for one in (quick, held, single, many)}


@dataclass(kw_only=True, eq=False)
class NotingExecutor:
    """Takes as many jobs as its socket would hold."""

    room: int = 1000
    is_shared: bool = False
    load_seconds: float = 0.0
    handed: dict[int, Any] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    payloads: list[bytes | None] = field(default_factory=list)

    def hand(self, job: Any, attempt: Any) -> bool:
        if len(self.handed) >= self.room:
            return False
        self.handed[job.number] = attempt
        self.ids.append(job.id)
        self.payloads.append(job.payload)
        return True


def dispatcher_of(*, serial: NotingExecutor, threads: NotingExecutor) -> Dispatcher:
    settings = Settings.from_environment({"EYAS_WORKERS": "1"})
    lanes = Lanes(functions=FUNCTIONS, settings=settings)
    lanes.serial.executors.append(serial)  # type: ignore[arg-type]
    lanes.threads.executors.append(threads)  # type: ignore[arg-type]
    return Dispatcher(
        lanes=lanes,
        settings=settings,
        store=SimpleNamespace(),  # type: ignore[arg-type]
        work=SimpleNamespace(),  # type: ignore[arg-type]
        settling=SimpleNamespace(is_behind=False),  # type: ignore[arg-type]
        timeout_of=lambda _: 30.0,
    )


@pytest.fixture
def serial() -> NotingExecutor:
    return NotingExecutor()


@pytest.fixture
def threads() -> NotingExecutor:
    return NotingExecutor(is_shared=True)


@pytest.fixture
def dispatcher(serial: NotingExecutor, threads: NotingExecutor) -> Dispatcher:
    made = dispatcher_of(serial=serial, threads=threads)
    for name in ("quick", "held"):
        made.lanes.pace.note(name, 0.0)
    return made


def tickets(*names: str) -> list[Ticket]:
    return [
        Ticket(
            held=Claim(worker="w", tag=f"{number}:1:celery"),
            id=f"{name}-{number}",
            function=name,
            claimed_at_us=0,
            fresh=True,
        )
        for number, name in enumerate(names)
    ]


def waiting(dispatcher: Dispatcher) -> list[str]:
    return [one.id for one in dispatcher.waiting]


@pytest.mark.timeout(10)
def test_an_executor_whose_socket_is_full_gets_the_rest_later(
    dispatcher: Dispatcher, serial: NotingExecutor
) -> None:
    serial.room = 3

    dispatcher.take(tickets(*["quick"] * 5))
    assert (serial.ids, waiting(dispatcher)) == (
        ["quick-0", "quick-1", "quick-2"],
        ["quick-3", "quick-4"],
    )

    serial.handed.clear()
    serial.load_seconds = 0.0
    dispatcher.hand_out()
    assert (serial.ids[3:], waiting(dispatcher)) == (["quick-3", "quick-4"], [])


def test_a_function_that_has_its_threads_lets_others_pass_and_keeps_its_order(
    dispatcher: Dispatcher, threads: NotingExecutor
) -> None:
    dispatcher.take(tickets("single", "single", "many", "single", "many"))

    assert threads.ids == ["single-0", "many-2", "many-4"]
    assert waiting(dispatcher) == ["single-1", "single-3"]

    threads.handed.clear()
    dispatcher.hand_out()
    assert threads.ids[3:] == ["single-1"]


def test_a_rate_limit_is_asked_once_a_turn_and_holds_nobody_else(
    dispatcher: Dispatcher, serial: NotingExecutor
) -> None:
    asked: list[str] = []
    allowed: list[str] = []

    def may_start(name: str) -> bool:
        asked.append(name)
        return name == "quick" or bool(allowed and allowed.pop())

    dispatcher.may_start = may_start
    dispatcher.take(tickets("held", "quick", "held", "held", "quick"))

    assert serial.ids == ["quick-1", "quick-4"]
    assert asked.count("held") == 1
    assert waiting(dispatcher) == ["held-0", "held-2", "held-3"]
    assert dispatcher.room() > 0, "what is limited takes no place in the line"

    allowed.append("one")
    dispatcher.lanes.try_limited()
    dispatcher.hand_out()
    assert serial.ids[2:] == ["held-0"]
    assert waiting(dispatcher) == ["held-2", "held-3"]


def test_there_is_an_end_to_what_waits_aside(dispatcher: Dispatcher) -> None:
    dispatcher.may_start = lambda name: name != "held"

    dispatcher.take(tickets(*["held"] * 200))

    assert len(dispatcher.waiting) == 200
    assert dispatcher.room() == 0


def test_behind_what_has_never_run_nobody_is_queued(
    dispatcher: Dispatcher, serial: NotingExecutor
) -> None:
    dispatcher.lanes.pace._of.clear()

    dispatcher.take(tickets("quick", "quick"))

    assert serial.ids == ["quick-0"]


@pytest.mark.parametrize("more_bytes", [0, 1])
def test_a_large_payload_is_left_to_the_executor_to_read(
    dispatcher: Dispatcher, serial: NotingExecutor, more_bytes: int
) -> None:
    payload = b"1" * (LARGEST_TICKET_PAYLOAD_BYTES + more_bytes)
    started = Started(
        verdict=Verdict.RUN,
        attempt=2,
        payload=payload,
        ages_since_us=0,
        started_at_us=0,
        failures=1,
    )
    dispatcher.store = SimpleNamespace(run=lambda _: started)  # type: ignore[assignment]

    (ticket,) = tickets("quick")
    dispatcher.take([msgspec.structs.replace(ticket, fresh=False)])

    assert serial.payloads == [None if more_bytes else payload]


def test_what_is_for_an_unknown_function_waits_while_there_may_be_a_newer_version(
    dispatcher: Dispatcher, serial: NotingExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []
    dispatcher.settling = SimpleNamespace(  # type: ignore[assignment]
        is_behind=False, refused=lambda ticket, **_: refused.append(ticket.id)
    )
    dispatcher.may_be_behind = True
    dispatcher.take(tickets("newer", "nobody", "quick"))
    assert (serial.ids, waiting(dispatcher), refused) == (["quick-2"], ["newer-0", "nobody-1"], [])

    functions = FUNCTIONS | {"newer": quick}
    monkeypatch.setattr(dispatcher.lanes, "functions", functions)
    for ticket in dispatcher.lanes.pop_all():
        dispatcher.lanes.add(ticket)
    dispatcher.refuse_unknown()
    dispatcher.hand_out()
    assert (serial.ids[1:], waiting(dispatcher), refused) == (["newer-0"], [], ["nobody-1"])

    dispatcher.may_be_behind = False
    dispatcher.take(tickets("nobody"))
    assert refused == ["nobody-1", "nobody-0"]
