"""One load test: load, drain, check, report."""

import json
import signal
import sys
import time
from collections import Counter
from copy import deepcopy

import gevent
from gevent.event import Event

from loadtests import contract, report
from loadtests.generator import Generator, GeneratorError
from loadtests.options import Options
from loadtests.report import Measured
from loadtests.stack import Counts, NoStackError, Stack
from loadtests.tally import Tally

_PASSED, _BROKEN, _NOTHING_MEASURED = 0, 1, 2
_PROGRESS_SECONDS = 1.0
_POLL_SECONDS = 0.05
_RESULT_SECONDS = 10
_CHECK_SECONDS = 120.0
_RIGHT = ""


class _Patience:
    """The first Ctrl-C ends the load, the second one the drain. There is a report either way."""

    def __init__(self) -> None:
        self.with_load, self.with_drain = Event(), Event()  # set when it is lost

    def lose(self) -> None:
        """Handle a signal."""
        (self.with_drain if self.with_load.is_set() else self.with_load).set()


def run(options: Options) -> int:
    """Run a load test and return the exit status."""
    patience = _Patience()
    handlers = [gevent.signal_handler(s, patience.lose) for s in (signal.SIGINT, signal.SIGTERM)]
    stack = Stack(url=options.host)
    try:
        before = stack.find()
        with Generator(options) as generator:
            measured = _measure(generator, stack, options, before, patience)
            html = generator.html()
    except (NoStackError, GeneratorError) as error:
        print(error, file=sys.stderr)
        return _NOTHING_MEASURED
    finally:
        for handler in handlers:
            handler.cancel()
    _write(options, measured, html)
    return _BROKEN if report.broken(measured) else _PASSED


def _measure(
    generator: Generator, stack: Stack, options: Options, before: Counts, patience: _Patience
) -> Measured:
    generator.start()
    _watch(generator, options, patience.with_load)
    is_interrupted = patience.with_load.is_set()
    generator.finish()
    load = generator.load
    loading_seconds = load.elapsed()
    loaded = stack.counts()
    patience.with_load.set()
    drain_seconds, after = _drain(stack, options.thresholds.drain_seconds, patience.with_drain)
    tally = load.tally
    results = _check(stack, tally.ids, options.workload.number, patience.with_drain)
    return Measured(
        options=options,
        tally=tally,
        measured_seconds=load.measured_seconds,
        loading_seconds=loading_seconds,
        drain_seconds=drain_seconds,
        scheduled=load.arrivals.scheduled if options.workload.mode == "arrival" else None,
        before=before,
        loaded=loaded,
        after=after,
        checked=results.total(),
        wrong=Counter({kind: n for kind, n in results.items() if kind != _RIGHT}),
        exceptions=generator.exceptions(),
        is_interrupted=is_interrupted,
    )


def _watch(generator: Generator, options: Options, enough: Event) -> None:
    """Print progress until the load is over."""
    load, seconds = generator.load, options.workload.ends_after_seconds
    earlier, at = Tally(), load.elapsed()
    while not load.is_over() and not enough.wait(
        min(_PROGRESS_SECONDS, max(0.0, seconds - load.elapsed()))
    ):
        now = load.elapsed()
        if now - at < _PROGRESS_SECONDS / 2:
            break  # the rest of a second says nothing
        print(
            report.progress(
                seconds=now,
                run_seconds=seconds,
                latest=load.tally,
                since=earlier,
                took=now - at,
            ),
            flush=True,
        )
        earlier, at = deepcopy(load.tally), now


def _drain(stack: Stack, limit_seconds: float, given_up: Event) -> tuple[float, Counts | None]:
    """Wait until nothing is outstanding; return how long that took and the last counts."""
    start = said = time.monotonic()
    while True:
        counts = stack.counts()
        now = time.monotonic()
        is_drained = counts is not None and not counts.outstanding
        if is_drained or now - start >= limit_seconds or given_up.wait(_POLL_SECONDS):
            return now - start, counts
        if now - said >= _PROGRESS_SECONDS:
            outstanding = counts.outstanding if counts else None
            print(report.draining(seconds=now - start, outstanding=outstanding), flush=True)
            said = now


def _check(stack: Stack, ids: list[str], number: int, given_up: Event) -> Counter[str]:
    """Read results of accepted invocations; return how many are right and wrong, by kind."""
    found: Counter[str] = Counter()
    deadline = time.monotonic() + _CHECK_SECONDS
    for invocation_id in ids:
        if given_up.is_set():
            break
        if time.monotonic() > deadline:
            found["result: not read in time"] += 1
            continue
        status, body = stack.record(invocation_id, wait_seconds=_RESULT_SECONDS)
        try:
            contract.check_record(status, body, invocation_id=invocation_id, number=number)
            found[_RIGHT] += 1
        except contract.WrongAnswerError as error:
            found[str(error)] += 1
    return found


def _write(options: Options, measured: Measured, html: str) -> None:
    options.report.mkdir(parents=True, exist_ok=True)
    page, numbers = options.report / "locust.html", options.report / "summary.json"
    page.write_text(html, encoding="utf-8")
    summary = json.dumps(report.summary(measured), indent=2)
    numbers.write_text(f"{summary}\n", encoding="utf-8")
    print(f"\n{report.text(measured)}\n\n{numbers}\n{page}", flush=True)
