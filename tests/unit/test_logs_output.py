"""Lines that wait for the end of a turn of an event loop: when they are written, and how."""

import asyncio
import io
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import uvloop
from kombu.asynchronous import Hub

from runtime.logs.console import Console
from runtime.logs.line import Line
from runtime.logs.output import Output
from runtime.logs.sink import FileSink
from tests.processes import largest_file


class Loop(list[Callable[[], None]]):
    """An event loop that turns when it is told."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.append(callback)

    def turn(self) -> None:
        callbacks = list(self)
        self.clear()
        for callback in callbacks:
            callback()


class Sink(FileSink):
    """A file that notes how many lines came together, and can be made to disturb."""

    def __init__(self, path: Path, *, max_bytes: int = 10**6) -> None:
        super().__init__(path, max_bytes=max_bytes, backups=100, report=lambda _: None)
        self.writes: list[int] = []
        self.disturb: Callable[[], None] = lambda: None

    def write_all(self, lines: Sequence[bytes]) -> int:
        disturb, self.disturb = self.disturb, lambda: None
        disturb()
        self.writes.append(len(lines))
        return super().write_all(lines)


class Writer:
    """An output by turns, and what is in its file."""

    def __init__(self, folder: Path, *, max_bytes: int = 10**6) -> None:
        self.path = folder / "web.log"
        self.sink = Sink(self.path, max_bytes=max_bytes)
        self.stream = io.StringIO()
        self.now = 100.0
        console = Console(self.stream, path="web.log", has_colors=False, has_process=False)
        self.output = Output(self.sink, console, clock=lambda: self.now)
        self.loop = Loop()
        self.output.by_turns(self.loop.call_soon)

    def write(self, *events: str, level: str = "info") -> None:
        for event in events:
            data = json.dumps({"event": event, "level": level}, separators=(",", ":"))
            self.output.write(Line(data.encode() + b"\n", level))

    @property
    def written(self) -> list[str]:
        """The events in the file."""
        if not self.path.exists():
            return []
        return [json.loads(line)["event"] for line in self.path.read_bytes().splitlines()]

    @property
    def shown(self) -> list[str]:
        """The events on the console."""
        return [line.split()[-1] for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path)
    yield writer
    writer.output.close()


def test_the_lines_of_a_turn_are_written_together_and_in_order(writer: Writer) -> None:
    writer.write("a", "b", "c")
    assert (writer.written, writer.shown) == ([], [])
    assert len(writer.loop) == 1

    writer.loop.turn()
    assert writer.written == writer.shown == ["a", "b", "c"]

    writer.write("d")
    writer.loop.turn()
    assert writer.written == writer.shown == ["a", "b", "c", "d"]
    assert writer.sink.writes == [3, 1]


@pytest.mark.parametrize("level", ["error", "critical"])
def test_an_error_is_written_at_once_with_what_came_before(writer: Writer, level: str) -> None:
    writer.write("a", "b")
    writer.write("c", level=level)
    assert writer.written == writer.shown == ["a", "b", "c"]

    writer.write("d")
    assert writer.written == ["a", "b", "c"]
    writer.loop.turn()
    assert writer.written == ["a", "b", "c", "d"]


def test_a_line_of_another_thread_is_written_at_once_with_what_came_before(writer: Writer) -> None:
    writer.write("a", "b")
    other = threading.Thread(target=writer.write, args=("c",))
    other.start()
    other.join()
    assert writer.written == writer.shown == ["a", "b", "c"]
    assert len(writer.loop) == 1  # call_soon is not for other threads


def test_a_turn_of_many_lines_is_written_in_parts(writer: Writer) -> None:
    events = [str(number) for number in range(1_000)]
    writer.write(*events)
    assert len(writer.written) > 700
    writer.loop.turn()
    assert writer.written == events
    assert max(writer.sink.writes) <= 257


def test_a_turn_of_long_lines_is_written_in_parts(writer: Writer) -> None:
    events = [f"{number}{'x' * 30_000}" for number in range(10)]
    writer.write(*events, "y" * 200_000, "end")
    writer.loop.turn()
    assert writer.written == [*events, "y" * 200_000, "end"]
    assert max(writer.sink.writes) <= 3


def test_lines_that_come_together_overfill_no_file(tmp_path: Path) -> None:
    writer = Writer(tmp_path, max_bytes=1_000)
    events = [f"event-{number:03}" for number in range(300)]
    for start in range(0, 300, 50):
        writer.write(*events[start : start + 50])
        writer.loop.turn()
    writer.output.close()

    files = sorted(
        tmp_path.glob("web.log*"), key=lambda file: -int(file.suffix[1:].strip("log") or 0)
    )
    assert all(file.stat().st_size <= 1_000 for file in files)
    lines = [line for file in files for line in file.read_bytes().splitlines()]
    assert [json.loads(line)["event"] for line in lines] == events


def test_a_closed_loop_is_not_waited_for(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    writer = Writer(tmp_path)
    writer.output.by_turns(loop.call_soon)
    loop.close()
    writer.write("a", "b")
    assert writer.written == ["a", "b"]
    writer.output.close()


def test_a_loop_that_does_not_turn_is_not_waited_for_for_long(writer: Writer) -> None:
    writer.write("a")
    writer.now += 0.9
    writer.write("b")
    assert writer.written == []
    writer.now += 0.2
    writer.write("c")
    assert writer.written == ["a", "b", "c"]
    writer.write("d")
    assert writer.written == ["a", "b", "c", "d"]

    writer.loop.turn()
    writer.write("e")
    assert writer.written == ["a", "b", "c", "d"]
    writer.loop.turn()
    assert writer.written == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("end", [Output.flush, Output.at_once, Output.close])
def test_what_waits_can_be_written_without_the_loop(
    writer: Writer, end: Callable[[Output], None]
) -> None:
    writer.write("a", "b")
    end(writer.output)
    assert writer.written == ["a", "b"]
    writer.loop.turn()
    assert writer.written == ["a", "b"]


def test_after_an_end_of_turns_each_line_is_written_at_once(writer: Writer) -> None:
    writer.write("a")
    writer.output.at_once()
    writer.write("b")
    assert writer.written == ["a", "b"]
    assert writer.sink.writes == [1, 1]

    writer.output.by_turns(writer.loop.call_soon)
    writer.write("c")
    assert writer.written == ["a", "b"]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_turns_of_asyncio_loops(
    writer: Writer, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def log_in_two_turns() -> list[list[str]]:
        writer.write("a", "b")
        before = writer.written
        await asyncio.sleep(0)
        writer.write("c")
        return [before, writer.written]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        writer.output.by_turns(runner.get_loop().call_soon)
        assert runner.run(log_in_two_turns()) == [[], ["a", "b"]]
    writer.write("d")
    assert writer.written == ["a", "b", "c", "d"]


def test_turns_of_a_kombu_hub(writer: Writer) -> None:
    hub = Hub()
    writer.output.by_turns(hub.call_soon)
    readable, writable = os.pipe()

    def on_readable() -> None:
        os.read(readable, 1)
        writer.write("a", "b")

    hub.add_reader(readable, on_readable)
    os.write(writable, b"x")
    hub.run_once()
    assert writer.written == []

    os.write(writable, b"x")  # else the hub waits for a second
    hub.run_once()
    assert writer.written == ["a", "b"]
    hub.close()  # it calls what it was given
    assert writer.written == ["a", "b", "a", "b"]
    os.close(readable)
    os.close(writable)


def test_what_a_timer_of_a_kombu_hub_logs_does_not_wait_for_the_next_event(
    writer: Writer,
) -> None:
    hub = Hub()
    writer.output.by_turns(hub.call_soon)
    hub.on_tick.add(writer.output.flush)
    readable, writable = os.pipe()
    seen: list[list[str]] = []
    hub.add_reader(readable, lambda: seen.append(writer.written))
    hub.call_soon(writer.write, "soon")
    hub.call_later(0, writer.write, "later")
    os.write(writable, b"x")
    hub.run_once()
    assert sorted(seen[0]) == ["later", "soon"]
    hub.close()
    os.close(readable)
    os.close(writable)


def test_a_signal_handler_that_logs_in_the_middle_of_a_write_loses_nothing(writer: Writer) -> None:
    writer.sink.disturb = lambda: writer.write("interrupting", level="error")
    writer.write("a", "b")
    writer.loop.turn()
    assert writer.written == ["a", "b", "interrupting"]


def test_a_time_limit_in_the_middle_of_a_write_loses_nothing(writer: Writer) -> None:
    class TimeLimitError(Exception):
        pass

    def interrupt() -> None:
        raise TimeLimitError

    writer.sink.disturb = interrupt
    writer.write("a", "b")
    with pytest.raises(TimeLimitError):
        writer.write("c", level="error")
    assert writer.written == []
    writer.write("d")
    writer.output.flush()
    assert writer.written == ["a", "b", "c", "d"]


def test_what_the_file_does_not_take_is_on_the_console(writer: Writer) -> None:
    writer.write("a")
    writer.loop.turn()
    with largest_file(writer.path.stat().st_size * 5 // 2):
        writer.write("b", "c", "d")
        writer.loop.turn()
        writer.write("e")
        writer.loop.turn()
    writer.write("f")
    writer.loop.turn()

    assert writer.shown == ["a", "b", "c", "d", "e", "f"]
    whole, torn = writer.path.read_bytes().splitlines(), b""
    torn = whole.pop(2)
    assert [json.loads(line)["event"] for line in whole] == ["a", "b", "f"]
    assert b'{"event":"c"'.startswith(torn[:12])


def test_threads_keep_their_order_while_a_loop_turns(writer: Writer) -> None:
    def write(name: str) -> None:
        for number in range(500):
            writer.write(f"{name}-{number}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for number in range(500):
        writer.write(f"c-{number}")
        if number % 3 == 0:
            writer.loop.turn()
    for thread in threads:
        thread.join()
    writer.output.flush()

    for name in "abc":
        mine = [event for event in writer.written if event.startswith(name)]
        assert mine == [f"{name}-{number}" for number in range(500)]
