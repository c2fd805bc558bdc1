"""Locust as a library: in this process, or as a master of several worker processes."""

import contextlib
import logging
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import gevent
import locust
from gevent.event import Event
from locust.argument_parser import get_parser
from locust.env import Environment
from locust.html import get_html_report
from locust.runners import MasterRunner
from locust.stats import stats_history

from loadtests import locustfile
from loadtests.locustfile import ANSWER_SECONDS, FibUser, Load, load_of
from loadtests.options import Options

_HOST = "127.0.0.1"
_CONNECT_SECONDS = 30.0
_SPAWN_SECONDS = 2.0
_MARGIN_SECONDS = 5.0
_PAUSE_SECONDS = 0.02


class GeneratorError(Exception):
    """Locust's processes did not start."""


class Generator:
    """What sends the requests; a context manager that leaves no process behind."""

    def __init__(self, options: Options) -> None:
        logging.getLogger("locust").setLevel(logging.ERROR)
        self._options = options
        # With no configuration files: a `locust.conf` of the surroundings is for plain Locust.
        parsed = get_parser(default_config_files=[]).parse_args(options.workload.arguments())
        parsed.expect_workers = options.processes
        # `Any`, as the hooks and runners of Locust's environment are not typed.
        self.environment: Any = Environment(
            user_classes=[FibUser],
            events=locust.events,
            host=options.host,
            locustfile=Path(locustfile.__file__).name,
            parsed_options=parsed,
        )
        self._workers: list[subprocess.Popen[bytes]] = []
        self._lost_workers = 0
        self._history: gevent.Greenlet | None = None

    def __enter__(self) -> Self:
        environment = self.environment
        runner = (
            environment.create_master_runner(_HOST, 0)
            if self._options.processes > 1
            else environment.create_local_runner()
        )
        self.environment.events.init.fire(environment=self.environment, runner=runner, web_ui=None)
        try:
            if isinstance(runner, MasterRunner):
                self._start_workers(runner)
        except BaseException:
            self._quit()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._quit()

    @property
    def load(self) -> Load:
        """What was sent and answered until now."""
        return load_of(self.environment)

    def start(self) -> None:
        """Start the users; returns when the load is defined."""
        begun = Event()
        self.environment.events.test_start.add_listener(lambda **_: begun.set())
        runner, workload = self.environment.runner, self._options.workload
        users = self._options.users if workload.mode == "closed" else self._options.processes
        gevent.spawn(runner.start, users, users)
        self._history = gevent.spawn(stats_history, runner)
        if not begun.wait(timeout=_CONNECT_SECONDS):
            raise GeneratorError("Locust did not start its users.")

    def finish(self) -> None:
        """Send nothing from now on; return when all that was sent is answered or given up."""
        runner, load = self.environment.runner, self.load
        # Workers that were not told yet to start cannot be told to stop.
        while not (runner.user_count or load.is_over() or load.elapsed() > _SPAWN_SECONDS):
            gevent.sleep(_PAUSE_SECONDS)
        load.end()
        runner.send_message(locustfile.FINISH, {})
        deadline = time.monotonic() + 2 * ANSWER_SECONDS + _MARGIN_SECONDS
        # A master's number comes with the workers' reports, so their last figures are in by then.
        while runner.user_count and time.monotonic() < deadline:
            gevent.sleep(_PAUSE_SECONDS)
        self._lost_workers = sum(worker.poll() is not None for worker in self._workers)
        if self._history is not None:
            self._history.kill()
        self.load.note_cpu()

    def exceptions(self) -> dict[str, int]:
        """Return what went wrong inside the generator, and how often."""
        wrong = {e["msg"]: e["count"] for e in self.environment.runner.exceptions.values()}
        if self._lost_workers:
            wrong["a Locust process ended early"] = self._lost_workers
        return wrong

    def html(self) -> str:
        """Return Locust's own report: one page without references to others."""
        shown = self.environment.stats
        begin = self.environment.parsed_options.starts_at + self.load.workload.warm_up_seconds
        for entry in (shown.total, *shown.entries.values()):
            entry.start_time = begin  # its rates are over the measured time
        page: str = get_html_report(self.environment, show_download_link=False)  # type: ignore[no-untyped-call]
        return page

    def _start_workers(self, runner: Any) -> None:
        path = Path(locustfile.__file__)
        self._workers = [
            subprocess.Popen(
                [
                    sys.executable,
                    *("-m", "locust", "--worker", "--locustfile", str(path)),
                    *("--master-host", _HOST, "--master-port", str(runner.server.port)),
                    *("--loglevel", "ERROR"),
                ],
                cwd=path.parent.parent,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us; workers are told to finish
            )
            for _ in range(self._options.processes)
        ]
        deadline = time.monotonic() + _CONNECT_SECONDS
        while len(runner.clients.ready) < self._options.processes:
            if time.monotonic() > deadline or any(w.poll() is not None for w in self._workers):
                raise GeneratorError("Locust's worker processes did not start.")
            gevent.sleep(_PAUSE_SECONDS)

    def _quit(self) -> None:
        runner = self.environment.runner
        runner.quit()
        for worker in self._workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(_MARGIN_SECONDS)
            worker.kill()
            worker.wait()
        if self._workers:
            runner.server.close(linger=0)
