"""A real stack of processes, private to a test."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from runtime import json_text
from runtime.errors import EyasError

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_PAUSE_SECONDS = 0.02
_OK = 200

# Settings of the surroundings must not reach a private stack.
_FOREIGN = ("EYAS_", "HONCHO_", "SUPERVISOR_", "OTEL_", "REDIS_URL", "PORT")


class FunctionFailedError(EyasError):
    """A function did not succeed on a stack; `problem` is the HTTP answer's body."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or problem))
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP answer; `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON value."""
        return json_text.decode(self.raw)


@dataclass(kw_only=True)
class Stack:
    """Broker, web, worker and scheduler on free ports, with their own folders; a context manager.

    `environment` adds settings. `processes` says what to start. Every process is stopped at the
    end, and the folders are removed.
    """

    functions_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: tuple[str, ...] = ("broker", "web", "worker", "scheduler")
    folder: Path = field(init=False)
    running: dict[str, subprocess.Popen[bytes]] = field(init=False, default_factory=dict)
    _settings: dict[str, str] = field(init=False)

    def __enter__(self) -> Self:
        json_text.limit_integer_digits()
        # Short: the folder may hold a unix socket, whose path must fit 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="eyas-"))
        web, broker, flower = free_ports(3)
        self._settings = {
            "PORT": str(web),
            "EYAS_BROKER_PORT": str(broker),
            "EYAS_FLOWER_PORT": str(flower),
            "EYAS_DATA_DIR": str(self.folder / "data"),
            "EYAS_LOG_DIR": str(self.folder / "logs"),
            "EYAS_FUNCTIONS_DIR": str(self.functions_dir.resolve()),
            **self.environment,
        }
        try:
            for name in self.processes:
                self.start(name)
            if {"web", "worker"} <= set(self.processes):
                self.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.ExitStack() as each:  # one that does not stop must not spare the others
            each.callback(shutil.rmtree, self.folder, ignore_errors=True)
            for name in list(self.running):
                each.callback(self.stop, name)

    @property
    def url(self) -> str:
        """Where web listens."""
        return f"http://127.0.0.1:{self._settings['PORT']}"

    @property
    def redis_url(self) -> str:
        """The broker, for a `celery.Celery(broker=..., backend=...)`."""
        external = self._settings.get("REDIS_URL")
        return external or f"redis://127.0.0.1:{self._settings['EYAS_BROKER_PORT']}/0"

    @property
    def log_dir(self) -> Path:
        return Path(self._settings["EYAS_LOG_DIR"])

    @property
    def process_environment(self) -> dict[str, str]:
        """The environment of this stack's processes; for `eyas` commands and the like."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
        return inherited | self._settings

    def start(self, name: str, *, instance: str | None = None) -> None:
        """Start one process: `broker`, `web`, `worker`, `scheduler` or `flower`.

        `instance` is what to call it here, if it is not the only one of its kind.
        """
        called = instance or name
        output = (self.folder / f"{called}.out").open("ab")
        with output:
            self.running[called] = subprocess.Popen(
                [sys.executable, "-m", f"runtime.{name}"],
                env=self.process_environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self, name: str) -> int:
        """Stop one process with SIGTERM and return its exit status."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill(process)
            raise

    def kill(self, name: str) -> None:
        """Kill one process with SIGKILL; what it started is left to itself."""
        self._kill(self.running.pop(name))

    def wait_until_ready(self) -> None:
        """Return when invocations are accepted and run, and it is known when schedules are due."""
        self.wait_for(lambda: self.request("/readyz").status == _OK, "the stack to be ready")
        self._wait_until_planned()

    def _wait_until_planned(self) -> None:
        """Return when a scheduler, if there is one, has seen all schedules."""
        if "scheduler" in self.running:
            self.wait_for(self._is_planned, "the scheduler to have seen all schedules")

    def _is_planned(self) -> bool:
        answer = self.request("/schedules")
        return answer.status == _OK and all(
            one["paused"] or one["next_run_at"] for one in answer.body["schedules"]
        )

    def wait_for(
        self, is_true: Callable[[], bool], what: str, *, seconds: float = _START_SECONDS
    ) -> None:
        """Return when a condition holds; raise `TimeoutError` with the processes' output if not."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):
                if is_true():
                    return
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds} s for {what}\n{self.output()}")
            time.sleep(_PAUSE_SECONDS)

    def output(self) -> str:
        """Return what the processes printed."""
        texts = sorted(self.folder.glob("*.out"))
        return "\n".join(f"--- {p.stem}\n{p.read_text(errors='replace')}" for p in texts)

    def invoke(self, name: str, payload: Any = None, *, seconds: int = 30) -> Any:
        """Run a function and return its result. Raises `FunctionFailedError` if there is none."""
        raw = json_text.encode({} if payload is None else payload)
        answer = self.request(f"/functions/{name}", body=raw, headers={"Prefer": f"wait={seconds}"})
        if answer.status != _OK:
            raise FunctionFailedError(answer.body)
        return answer.body["result"]

    def advance(self, seconds: float) -> None:
        """Let this time pass, for delays, retries, ages and expiry; on return it has."""
        self._emulate("/_emulator/clock/advance", {"seconds": seconds})

    def reset(self) -> None:
        """Forget all invocations, and stop those that run; the clock is the right one again."""
        self._emulate("/_emulator/reset", {})
        self._wait_until_planned()

    def _emulate(self, path: str, body: Any) -> None:
        answer = self.request(path, body=json_text.encode(body))
        if answer.status != _OK:
            raise EyasError(f"{path}: {answer.status} {answer.raw.decode(errors='replace')}")

    def request(
        self,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
        seconds: float = 70.0,
    ) -> Response:
        """Send one HTTP request to web, and return the answer whatever its status is."""
        sent = urllib.request.Request(  # noqa: S310  our own URL
            self.url + path, data=body, headers=dict(headers or {}), method=method
        )
        try:
            with urllib.request.urlopen(sent, timeout=seconds) as answer:  # noqa: S310  our own URL
                return _response(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return _response(error.code, error.headers, error.read())

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()


def free_ports(count: int) -> list[int]:
    """Return TCP ports on loopback that nothing uses now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _response(status: int, headers: Any, raw: bytes) -> Response:
    return Response(status=status, headers={k.lower(): v for k, v in headers.items()}, raw=raw)
