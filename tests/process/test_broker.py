"""The embedded broker as a process: what it promises when it, or its server, is killed."""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from runtime.broker.binary import find_binary
from runtime.broker.resp import Connection, ServerError
from runtime.testing import Stack

ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(functions_dir=tmp_path, processes=()) as stack:
        yield stack


def folder_of(stack: Stack) -> Path:
    return stack.folder / "data" / "broker"


def port_of(stack: Stack) -> int:
    return int(stack.process_environment["EYAS_BROKER_PORT"])


def records(stack: Stack) -> list[dict[str, Any]]:
    try:
        text = (stack.log_dir / "broker.log").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines()]


def events(stack: Stack, name: str) -> list[dict[str, Any]]:
    return [record for record in records(stack) if record["event"] == name]


def start(stack: Stack) -> int:
    """Start the broker and return the process id of its server."""
    count = len(events(stack, "broker.ready"))
    stack.start("broker")
    stack.wait_for(lambda: len(events(stack, "broker.ready")) > count, "broker.ready", seconds=15)
    pid: int = events(stack, "broker.ready")[-1]["server_pid"]
    return pid


def start_in_vain(stack: Stack) -> str:
    """Start a broker that cannot start, and return the one line that it prints."""
    before = stack.output()
    stack.start("broker")
    assert stack.running["broker"].wait(10) == 1
    lines = stack.output().removeprefix(before).removeprefix("--- broker\n").splitlines()
    assert len(lines) == 1, lines
    assert "process.refused" in lines[0]
    assert "..." not in lines[0]
    return lines[0]


@contextlib.contextmanager
def client(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis(port=port_of(stack)) as connected:
        connected.ping()
        yield connected


def is_answering(stack: Stack) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port_of(stack)), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def stop_signal_to_exit_seconds(process: subprocess.Popen[bytes], *, timeout: float) -> float:
    sent_at = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout) == 0
    return time.monotonic() - sent_at


def test_the_server_is_configured_to_lose_nothing(stack: Stack) -> None:
    start(stack)
    expected = {
        "bind": "127.0.0.1",
        "protected-mode": "yes",
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "aof-load-truncated": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "dir": str(folder_of(stack)),
    }
    with client(stack) as connected:
        found = {name: connected.config_get(name)[name] for name in expected}
        assert connected.info("server")["config_file"] == ""
    assert found == expected
    assert folder_of(stack).stat().st_mode & 0o077 == 0


def test_the_server_listens_on_loopback_only(stack: Stack) -> None:
    start(stack)
    # On Linux the whole of 127.0.0.0/8 is this machine: whoever listens everywhere answers here.
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
        socket.create_connection(("127.0.0.2", port_of(stack)), timeout=1)


def test_every_line_of_the_log_is_a_record_with_the_time_at_which_it_was_written(
    stack: Stack,
) -> None:
    server_pid = start(stack)
    assert stack.stop("broker") == 0
    output = events(stack, "broker.output")
    assert {"Ready to accept connections tcp"} <= {record["message"] for record in output}
    assert {record["process"] for record in records(stack)} == {"broker"}
    [ready] = events(stack, "broker.ready")
    assert ready["port"] == port_of(stack)
    assert ready["folder"] == str(folder_of(stack))
    assert Path(ready["binary"]).name == "valkey-server"
    assert ready["version"]
    from_server = [record for record in output if record["pid"] == server_pid]
    assert len(from_server) > 5
    times = [record["timestamp"] for record in from_server]
    assert times == sorted(times)
    assert all(time.endswith("000Z") for time in times), "the server counts milliseconds"
    assert events(stack, "broker.stopped")[-1]["code"] == 0


def test_a_killed_server_ends_the_process_and_loses_nothing_acknowledged(stack: Stack) -> None:
    server_pid = start(stack)
    with client(stack) as connected:
        connected.set("kept", "yes")
        os.kill(server_pid, signal.SIGKILL)
    assert stack.running["broker"].wait(5) == 1
    assert events(stack, "broker.exited")[-1]["signal"] == "SIGKILL"
    start(stack)
    with client(stack) as connected:
        assert connected.get("kept") == b"yes"


@ONLY_LINUX
def test_a_killed_process_leaves_no_server_and_a_restart_keeps_the_data(stack: Stack) -> None:
    start(stack)
    with client(stack) as connected:
        connected.set("kept", "yes")
    stack.kill("broker")
    stack.wait_for(lambda: not is_answering(stack), "the server to go", seconds=5)
    start(stack)
    with client(stack) as connected:
        assert connected.get("kept") == b"yes"


def test_a_restart_right_after_a_kill_finds_its_way(stack: Stack) -> None:
    first = start(stack)
    stack.kill("broker")
    assert start(stack) != first


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("own", [None, "glibc.malloc.tcache_count=9"])
def test_the_server_has_its_environment_unless_ours_says_otherwise(
    tmp_path: Path, own: str | None
) -> None:
    environment = {} if own is None else {"GLIBC_TUNABLES": own}
    with Stack(functions_dir=tmp_path, processes=(), environment=environment) as stack:
        variables = Path(f"/proc/{start(stack)}/environ").read_bytes().split(b"\0")

    expected = own or "glibc.malloc.tcache_count=2000"
    assert f"GLIBC_TUNABLES={expected}".encode() in variables
    assert b"TZ=UTC" in variables


def test_a_server_left_over_is_stopped_and_its_data_taken_over(stack: Stack) -> None:
    # What a kill leaves behind on systems where a child does not hear of its parent's death.
    folder = folder_of(stack)
    folder.mkdir(parents=True)
    lock = os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    leftover = subprocess.Popen(
        [
            *[find_binary(path=""), "--port", str(port_of(stack)), "--dir", folder],
            *["--bind", "127.0.0.1", "--appendonly", "yes", "--save", ""],
        ],
        stdout=subprocess.DEVNULL,
        pass_fds=[lock],
        start_new_session=True,
    )
    try:
        os.pwrite(lock, str(leftover.pid).encode(), 0)
        os.close(lock)
        stack.wait_for(lambda: is_answering(stack), "the server that is left over")
        with client(stack) as connected:
            connected.set("kept", "yes")
        start(stack)
        assert leftover.wait(1) == 0
        assert events(stack, "broker.leftover")[-1]["server_pid"] == leftover.pid
        with client(stack) as connected:
            assert connected.get("kept") == b"yes"
    finally:
        leftover.kill()
        leftover.wait()


def test_a_rewrite_that_outlives_the_server_is_ended_too(stack: Stack) -> None:
    server_pid = start(stack)
    with client(stack) as connected:
        connected.set("key", "value")
        connected.config_set("rdb-key-save-delay", 20_000_000)
        connected.bgrewriteaof()
        stack.wait_for(
            lambda: connected.info("persistence")["aof_rewrite_in_progress"] == 1, "the rewrite"
        )
        os.kill(server_pid, signal.SIGKILL)
    assert stack.running["broker"].wait(5) == 1
    start(stack)
    assert not events(stack, "broker.leftover")


def test_a_file_whose_end_was_cut_off_is_loaded_up_to_there(stack: Stack) -> None:
    server_pid = start(stack)
    with client(stack) as connected:
        connected.set("first", "whole")
        connected.set("second", "torn")
        os.kill(server_pid, signal.SIGKILL)
    stack.running["broker"].wait(5)
    [file] = (folder_of(stack) / "appendonlydir").glob("*.incr.aof")
    os.truncate(file, file.stat().st_size - 3)
    start(stack)
    with client(stack) as connected:
        assert connected.get("first") == b"whole"
        assert connected.get("second") is None

    def is_told() -> bool:  # another process passes on what the server says
        said = [r["message"] for r in events(stack, "broker.output") if r["level"] == "warning"]
        return any("Truncating the AOF" in message for message in said)

    stack.wait_for(is_told, "the warning")


def test_a_taken_port_is_one_line_that_names_the_setting(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", port_of(stack))):
        line = start_in_vain(stack)
    assert "EYAS_BROKER_PORT" in line
    assert f"port {port_of(stack)} on 127.0.0.1 is taken by another program" in line


def test_a_port_taken_by_another_stack_says_which(stack: Stack, tmp_path: Path) -> None:
    start(stack)
    environment = {"EYAS_BROKER_PORT": str(port_of(stack))}
    with Stack(functions_dir=tmp_path, processes=(), environment=environment) as second:
        line = start_in_vain(second)
    assert "EYAS_BROKER_PORT" in line
    assert str(folder_of(stack)) in line


def test_a_folder_in_use_is_one_line_that_names_the_setting(stack: Stack, tmp_path: Path) -> None:
    start(stack)
    environment = {"EYAS_DATA_DIR": str(stack.folder / "data")}
    with Stack(functions_dir=tmp_path, processes=(), environment=environment) as second:
        line = start_in_vain(second)
    assert "EYAS_DATA_DIR" in line
    assert str(folder_of(stack)) in line
    assert f"(its broker is process {stack.running['broker'].pid})" in line
    with client(stack) as connected:
        assert connected.ping()


def test_a_folder_that_cannot_be_made_is_one_line_that_names_the_setting(stack: Stack) -> None:
    (stack.folder / "data").write_text("a file")
    assert "EYAS_DATA_DIR" in start_in_vain(stack)


def test_with_an_external_broker_it_only_waits_for_a_signal(tmp_path: Path) -> None:
    environment = {"REDIS_URL": "redis://:secret@broker.example:6379/0"}
    with Stack(functions_dir=tmp_path, processes=("broker",), environment=environment) as stack:
        stack.wait_for(lambda: bool(events(stack, "broker.external")), "broker.external")
        assert stack.stop("broker") == 0
        assert not folder_of(stack).exists()
        assert "secret" not in (stack.log_dir / "broker.log").read_text(encoding="utf-8")


def test_without_clients_it_stops_at_once(stack: Stack) -> None:
    start(stack)
    assert stop_signal_to_exit_seconds(stack.running["broker"], timeout=5) < 1.5
    assert not is_answering(stack)


def test_a_client_can_still_write_while_the_broker_waits_for_it_to_leave(stack: Stack) -> None:
    start(stack)
    with client(stack) as connected:
        stack.running["broker"].send_signal(signal.SIGTERM)
        stack.wait_for(lambda: bool(events(stack, "broker.stopping")), "broker.stopping")
        assert connected.set("late", "stored")
    assert stack.running["broker"].wait(2) == 0
    assert not events(stack, "broker.clients_left")
    start(stack)
    with client(stack) as connected:
        assert connected.get("late") == b"stored"


def test_a_client_that_stays_delays_the_stop_by_less_than_5_seconds(stack: Stack) -> None:
    start(stack)
    with client(stack):
        seconds = stop_signal_to_exit_seconds(stack.running["broker"], timeout=5)
    assert 3.5 < seconds < 4.8
    assert events(stack, "broker.clients_left")


def test_a_second_signal_stops_at_once(stack: Stack) -> None:
    start(stack)
    with client(stack):
        process = stack.running["broker"]
        process.send_signal(signal.SIGTERM)
        stack.wait_for(lambda: bool(events(stack, "broker.stopping")), "broker.stopping")
        assert stop_signal_to_exit_seconds(process, timeout=2) < 1.5


def test_the_connection_reads_every_kind_of_reply(stack: Stack) -> None:
    async def ask() -> None:
        async with Connection(port_of(stack)) as connection:
            assert await connection.command("PING") == "PONG"
            assert await connection.command("DBSIZE") == 0
            assert await connection.command("GET", "missing") is None
            assert await connection.command("CONFIG", "GET", "save") == ["save", ""]
            assert "process_id:" in await connection.text("INFO", "server")
            with pytest.raises(ServerError, match="unknown command"):
                await connection.command("NONSENSE")
            with pytest.raises(ServerError, match="expected text"):
                await connection.text("DBSIZE")

    start(stack)
    asyncio.run(ask())


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n", b":many\r\n", b"$9\r\nsho"])
def test_the_connection_refuses_what_is_no_reply(reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(reply)
        writer.close()

    async def ask() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            async with Connection(port) as connection:
                with pytest.raises(OSError, match="not a whole reply to PING"):
                    await connection.command("PING")

    asyncio.run(ask())


def test_the_connection_does_not_wait_for_a_silent_server() -> None:
    async def ask() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            async with Connection(port, timeout_seconds=0.1) as connection:
                with pytest.raises(TimeoutError):
                    await connection.command("PING")

    asyncio.run(ask())
