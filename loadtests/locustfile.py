"""The users of a load test, for Locust.

Usable by itself, with Locust's web page: `locust -f loadtests/locustfile.py --host URL`, from the
project's folder. Options of the workload as for `python -m loadtests`, whose `--help` shows them.
In arrival mode the rate does not depend on the number of users: run one per process, and start
them together (`--users N --spawn-rate N --processes N`).

Locust shares the cores of the machine with whatever else runs there. When that is the stack under
test, throughput is under-reported.
"""

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from gevent.pool import Group
from locust import FastHttpUser, events, runners, stats, task
from locust.env import Environment
from locust.exception import StopUser

from loadtests import contract, tally
from loadtests.arrivals import Arrivals
from loadtests.options import Workload, add_workload
from loadtests.sample import Sample
from loadtests.tally import Tally

ANSWER_SECONDS = 30.0  # a request without an answer for so long has failed
FINISH = "finish"  # the message that ends the load of all processes

_CONNECTIONS = 1000  # at the same time and per user; an arrival that waits for one is timed
_PAUSE_SECONDS = 0.1  # of a user whose request was not answered; a missing stack is not hammered
_LONGEST_SLEEP_SECONDS = 0.1  # until an early end is noticed
_SPREAD_SECONDS = 0.5  # workers hear of a start within this

# Both are documented by Locust as replaceable: finer latencies than whole milliseconds in its
# report, and the figures of workers (which come every 3 seconds otherwise) soon enough to watch.
stats.bucket_response_time = lambda ms: tally.bucket(round(ms * 1000)) / 1000  # type: ignore[assignment,return-value]
runners.WORKER_REPORT_INTERVAL = 0.5
stats.HISTORY_STATS_INTERVAL_SEC = 1


class NoAnswerError(contract.WrongAnswerError):
    """A request was sent and no answer came: it may have been accepted."""


class Load:
    """The load that one process makes, or on a master what all of them made, from start to end."""

    def __init__(self, environment: Any) -> None:
        options, runner = environment.parsed_options, environment.runner
        self.workload = Workload.of(options)
        number, batch = self.workload.number, self.workload.batch
        self.path = contract.BATCH_PATH if batch else contract.PATH
        self.body = contract.payloads(number, size=batch) if batch else contract.payload(number)
        self.tally = Tally()
        self.arrivals = Arrivals(
            rate=self.workload.rate,
            seconds=self.workload.ends_after_seconds,
            index=max(0, getattr(runner, "worker_index", 0)),
            processes=max(1, options.expect_workers),
        )
        self._ends_after_seconds = self.workload.ends_after_seconds
        self._origin: float = time.perf_counter() + options.starts_at - time.time()
        self._checked = Sample(every=self.workload.check_every)
        self._cpu_seconds = time.process_time()

    def elapsed(self) -> float:
        """Seconds since the start, which may lie ahead: then it is negative."""
        return time.perf_counter() - self._origin

    def is_over(self) -> bool:
        return self.elapsed() >= self._ends_after_seconds

    def is_measured(self, at: float) -> bool:
        """Say whether a request that starts at a time is measured, or warms up."""
        return at >= self.workload.warm_up_seconds

    def end(self) -> None:
        """Send nothing from now on."""
        self._ends_after_seconds = min(self._ends_after_seconds, self.elapsed())

    @property
    def measured_seconds(self) -> float:
        """How long requests were measured, when it is over."""
        return max(0.0, self._ends_after_seconds - self.workload.warm_up_seconds)

    def ids_in(self, status: int, body: bytes) -> list[str]:
        """Return the ids in the answer to a request. Raises `contract.WrongAnswerError`."""
        if self.workload.batch:
            return contract.read_accepted_batch(status, body, size=self.workload.batch)
        return [contract.read_accepted(status, body)]

    def note_accepted(self, ids: Sequence[str], *, at: float, latency_ms: float) -> None:
        """Count the invocations of a request that was accepted, and its latency."""
        counted = self.tally
        counted.accepted += len(ids)
        counted.ids.extend(self._checked.of(ids))
        if self.is_measured(at):
            counted.measured += len(ids)
            counted.latency.add(latency_ms)

    def note_failure(self, kind: str, *, is_unknown: bool) -> None:
        """Count a request that was not accepted, or of which that is not known."""
        self.tally.failures[kind] += 1
        if is_unknown:
            self.tally.unknown += self.workload.invocations_per_request

    def note_cpu(self) -> None:
        """Add the processor time used since the last time to the tally."""
        now = time.process_time()
        self.tally.cpu_seconds += now - self._cpu_seconds
        self._cpu_seconds = now

    def take(self) -> Tally:
        """Return what was counted since the last time."""
        self.note_cpu()
        taken, self.tally = self.tally, Tally()
        return taken


_loads: WeakKeyDictionary[Environment, Load] = WeakKeyDictionary()


def load_of(environment: Environment) -> Load:
    """Return the load of the run that is under way, or of the last one."""
    return _loads[environment]


class FibUser(FastHttpUser):
    """Invokes the function, in the workload's mode."""

    concurrency = _CONNECTIONS
    network_timeout = ANSWER_SECONDS
    connection_timeout = ANSWER_SECONDS

    load: Load
    waiting: Group

    def on_start(self) -> None:
        self.load = load_of(self.environment)
        self.waiting = Group()
        gevent.sleep(max(0.0, -self.load.elapsed()))

    def wait_time(self) -> float:
        if self.load.workload.mode == "closed":
            return 0.0
        seconds = self.load.arrivals.seconds_until_next(self.load.elapsed())
        return min(seconds, _LONGEST_SLEEP_SECONDS)

    @task
    def invoke(self) -> None:
        """Send one request and wait for its answer; or start those that are due."""
        is_over = self.load.is_over()
        if self.load.workload.mode == "closed":
            if is_over:
                raise StopUser
            self._send(self.load.elapsed())
            return
        for at in self.load.arrivals.due(self.load.elapsed()):
            self.load.tally.lateness.add((self.load.elapsed() - at) * 1000)
            self.waiting.spawn(self._send, at)
        if is_over:
            self.waiting.join(timeout=ANSWER_SECONDS)
            raise StopUser

    def on_stop(self) -> None:
        self.waiting.kill()

    def _send(self, at: float) -> None:
        load = self.load
        load.tally.sent += 1
        problem = None
        try:
            response: Any = self.client.post(
                load.path,
                data=load.body,
                headers=contract.HEADERS,
                name=f"POST {load.path}",
                catch_response=True,
            )
            latency_ms = (load.elapsed() - at) * 1000
            load.note_accepted(_ids_in(response, load), at=at, latency_ms=latency_ms)
        except gevent.GreenletExit:
            load.note_failure("no answer before the end", is_unknown=True)
            raise
        except contract.WrongAnswerError as wrong:
            problem = str(wrong)
            load.note_failure(problem, is_unknown=isinstance(wrong, NoAnswerError))
        if load.is_measured(at):
            response.request_meta["response_time"] = latency_ms
            with response:
                if problem is not None:
                    response.failure(problem)
        if response.status_code == 0:
            gevent.sleep(_PAUSE_SECONDS)


def _ids_in(response: Any, load: Load) -> list[str]:
    error, status = response.request_meta["exception"], response.status_code
    if status == 0 or (error is not None and status == contract.ACCEPTED):
        raise NoAnswerError(f"no answer: {type(error).__name__}")
    return load.ids_in(status, response.content or b"")


def _add_options(parser: ArgumentParser) -> None:
    add_workload(parser, seconds=0.0, warm_up=0.0)


def _listen(environment: Any, runner: Any, **_: Any) -> None:
    if not isinstance(runner, runners.MasterRunner):
        runner.register_message(FINISH, lambda **_: load_of(environment).end())
    if isinstance(runner, runners.WorkerRunner):

        def report(data: dict[str, Any], **_: Any) -> None:
            if environment in _loads:
                data["tally"] = load_of(environment).take().to_wire()

        environment.events.report_to_master.add_listener(report)
    if isinstance(runner, runners.MasterRunner):

        def add(data: dict[str, Any], **_: Any) -> None:
            if "tally" in data:
                load_of(environment).tally.merge(Tally.from_wire(data["tally"]))

        environment.events.worker_report.add_listener(add)


def _begin(environment: Any, **_: Any) -> None:
    runner, options = environment.runner, environment.parsed_options
    # A worker is told by its master, with the other options.
    if not isinstance(runner, runners.WorkerRunner):
        spread = _SPREAD_SECONDS if isinstance(runner, runners.MasterRunner) else 0.0
        options.starts_at = time.time() + spread
    _loads[environment] = Load(environment)


_hooks: Any = events  # they are not typed
_hooks.init_command_line_parser.add_listener(_add_options)
_hooks.init.add_listener(_listen)
_hooks.test_start.add_listener(_begin)
