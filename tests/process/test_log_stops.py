"""Lines that wait for the end of a turn when a process ends, in every way that it may."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from runtime.logs.reader import read
from runtime.testing import Stack

SAMPLE_FUNCTIONS = Path(__file__).parent.parent / "sample_functions"

PREPARE = """
import asyncio, atexit, os, signal, subprocess, sys, threading
from dataclasses import replace
from pathlib import Path

import structlog
import uvloop

from runtime import logs
from runtime.settings import Settings

settings = replace(Settings.from_environment({}), log_dir=Path(sys.argv[1]))
logs.configure("web", settings, console=None)
log = structlog.get_logger()

def write(start, end):
    for number in range(start, end):
        log.info("line", number=number)

def run(function, loop_factory=uvloop.new_event_loop):
    async def main():
        function()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        logs.write_by_turns(runner.get_loop().call_soon)
        runner.run(main())

# A loop that takes what it is given and never turns.
logs.write_by_turns(lambda callback: None)
"""

# Each writes the lines 0 to 9, and ends.
ENDS = {
    "end of main": "write(0, 10)",
    "sys.exit": "write(0, 10); sys.exit(0)",
    "sys.exit in a turn": "run(lambda: (write(0, 10), sys.exit(0)))",
    "exception": "write(0, 10); raise ValueError",
    "exception in a turn": """
def fail():
    write(0, 10)
    raise ValueError
run(fail)
""",
    "end of a turn": "run(lambda: write(0, 10))",
    "end of asyncio's own loop": "run(lambda: write(0, 10), asyncio.new_event_loop)",
    "loop that stopped": """
loop = uvloop.new_event_loop()
logs.write_by_turns(loop.call_soon)
loop.run_until_complete(asyncio.sleep(0))
write(0, 10)
loop.close()
""",
    "after the loop": "run(lambda: write(0, 5)); write(5, 10)",
    "at exit": """
atexit.register(write, 5, 10)
write(0, 5)
""",
    "at exit, before ours": """
logs.write_by_turns(lambda callback: None)
atexit.register(write, 5, 10)
write(0, 5)
""",
    "SIGTERM that a loop handles": """
async def main():
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    def stop():
        write(5, 10)
        stopped.set()
    loop.add_signal_handler(signal.SIGTERM, stop)
    write(0, 5)
    os.kill(os.getpid(), signal.SIGTERM)
    await stopped.wait()
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    logs.write_by_turns(runner.get_loop().call_soon)
    runner.run(main())
""",
    "SIGTERM that exits": """
def stop(*_):
    write(5, 10)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
write(0, 5)
os.kill(os.getpid(), signal.SIGTERM)
""",
    "os._exit after flush": "write(0, 10); logs.flush(); os._exit(0)",
    "os.execv after an end of turns": """
write(0, 5)
logs.write_at_once()
write(5, 10)
os.execv("/bin/true", ["true"])
""",
    "fork": """
write(0, 5)
if os.fork() == 0:
    write(5, 8)  # not by turns: there is no loop here
    os._exit(0)
os.wait()
write(8, 10)
""",
    "fork in a thread": """
def fork():
    if os.fork() == 0:
        write(5, 8)
        sys.exit(0)
    os.wait()
write(0, 5)
thread = threading.Thread(target=fork)
thread.start()
thread.join()
write(8, 10)
""",
    "fork in the middle of a write": """
from runtime.logs.sink import FileSink
plain = FileSink.write_all
def forking(sink, lines):
    FileSink.write_all = plain
    if os.fork() == 0:
        os._exit(0)
    os.wait()
    return plain(sink, lines)
FileSink.write_all = forking
write(0, 10)
logs.flush()
""",
    "subprocess": """
write(0, 10)
subprocess.run([sys.executable, "-c", ""], preexec_fn=lambda: None, check=True)
""",
    "child with turns of its own": """
write(0, 5)
if (pid := os.fork()) == 0:
    run(lambda: write(5, 8))
    sys.exit(0)
os.waitpid(pid, 0)
write(8, 10)
""",
    "crash of a value": """
class Hostile:
    def __repr__(self):
        raise SystemExit(0)
write(0, 10)
log.info("line", number=10, value=Hostile())
""",
}


@pytest.mark.parametrize("script", ENDS.values(), ids=ENDS)
def test_no_line_is_lost_and_none_is_written_twice(tmp_path: Path, script: str) -> None:
    subprocess.run(
        [sys.executable, "-W", "error", "-c", PREPARE + script, tmp_path],
        timeout=30,
        check="ValueError" not in script,
        stderr=subprocess.DEVNULL if "ValueError" in script else None,
    )
    numbers = [record.fields["number"] for record in read(tmp_path) if record.event == "line"]
    assert numbers == list(range(10))


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack(functions_dir=SAMPLE_FUNCTIONS) as stack:
        yield stack


class Client(threading.Thread):
    """Sends requests one after the other until web is gone; knows which were answered."""

    def __init__(self, url: str, name: str) -> None:
        super().__init__(name=name)
        self.answered: list[str] = []
        self._address = urlsplit(url)

    def run(self) -> None:
        connection = HTTPConnection(self._address.hostname or "", self._address.port, timeout=30)
        try:
            while True:
                request_id = f"{self.name}-{len(self.answered)}"
                connection.request("GET", "/ping", headers={"X-Request-Id": request_id})
                with connection.getresponse() as answer:
                    answer.read()
                self.answered.append(request_id)
        except (OSError, HTTPException):
            connection.close()


def test_web_under_load_that_is_told_to_stop_has_a_line_for_each_answer(stack: Stack) -> None:
    clients = [Client(stack.url, f"client-{number}") for number in range(8)]
    for client in clients:
        client.start()
    stack.wait_for(lambda: all(len(client.answered) > 50 for client in clients), "answers")
    web = stack.running.pop("web")
    web.send_signal(signal.SIGTERM)
    assert web.wait(40) == 0
    for client in clients:
        client.join(40)

    lines = [json.loads(line) for line in (stack.log_dir / "web.log").read_bytes().splitlines()]
    assert lines[-1]["event"] == "web.stopped"
    assert [line["timestamp"] for line in lines] == sorted(line["timestamp"] for line in lines)
    logged = [
        line["request_id"]
        for line in lines
        if line["event"] == "request.finished" and line["request_id"].startswith("client-")
    ]
    for client in clients:
        mine = [request_id for request_id in logged if request_id.startswith(f"{client.name}-")]
        # At most the last one was finished and its answer not received.
        assert mine[: len(client.answered)] == client.answered
        assert len(mine) <= len(client.answered) + 1
