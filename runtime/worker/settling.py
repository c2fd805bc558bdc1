"""What becomes of invocations after their attempts in executors: told to the broker in batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import msgspec
from billiard.exceptions import TimeLimitExceeded

from runtime import message
from runtime.function import Function
from runtime.invocation import Status
from runtime.outcome import CANCELLED_RUNNING, FunctionError, stopped_after
from runtime.policy import DeadLetterReason, TryAgain
from runtime.settings import Settings
from runtime.store import claims, lifecycle
from runtime.store.claims import Ticket
from runtime.store.lifecycle import Ended, Finish, ToBeCancelled
from runtime.tracing import OFF, AttemptEnd, Tracing
from runtime.worker.attempts import log_end
from runtime.worker.debts import Debts
from runtime.worker.executor.job import Outcome, Yielded
from runtime.worker.executor.work import CeleryResult
from runtime.worker.judging import judge
from runtime.worker.yields import Yields

_MOST_AT_ONCE = 128
_MOST_BYTES_AT_ONCE = 4_194_304
_MOST_UNTOLD = 1024


@dataclass(slots=True, kw_only=True, eq=False)
class Attempt:
    """An attempt in an executor's hands.

    `is_noted` says that the record tells that it runs, `is_long` that others would wait for long
    behind it, `has_begun` that the executor was seen to have looked at it, and `is_told` that
    Flower was told. `began_at` is when it began at the earliest (monotonic).
    `stopped_for` says why it is being stopped, since `stopped_at`.
    """

    ticket: Ticket
    function: Function[..., Any]
    timeout_seconds: float
    began_at: float
    is_noted: bool
    is_long: bool = False
    has_begun: bool = False
    is_told: bool = False
    stopped_for: str = ""
    stopped_at: float = 0.0


class Audience(Protocol):
    """Whoever wants to hear of attempts."""

    def begun(self, attempt: Attempt) -> None:
        """An attempt runs for a while already."""

    def ended(self, attempt: Attempt, status: Status, outcome: Outcome) -> None:
        """An attempt has ended; `status` is its invocation's."""


class _Ending(msgspec.Struct, frozen=True, kw_only=True):
    finish: Finish
    attempt: Attempt
    error: FunctionError | None = None
    traceback: str = ""


@dataclass(slots=True, kw_only=True)
class Settling:
    """Ends attempts. `audience` hears of them too: Flower, and Celery's statistics."""

    worker: str
    debts: Debts
    settings: Settings
    celery_result: CeleryResult
    audience: Audience
    tracing: Tracing = OFF
    _endings: list[_Ending] = field(default_factory=list)
    _untold: set[str] = field(default_factory=set)
    _yields: Yields = field(default_factory=Yields)

    def begun(self, attempts: Sequence[Attempt], now: float) -> None:
        """Make the records say that these run; they did not know yet."""
        fresh = [one for one in attempts if not one.is_noted]
        if not fresh:
            return
        for one in fresh:
            one.is_noted = True
            self.audience.begun(one)
        self.debts.owe(
            claims.note_begun(
                self.worker,
                [(one.ticket.held.tag, one.ticket.id, now - one.began_at) for one in fresh],
            )
        )

    def progress(self, attempt: Attempt, report: bytes, now: float) -> None:
        """Put into the record how far an attempt is; not while the broker is away."""
        self.begun([attempt], now)
        if not self.debts.are_overdue:
            self.debts.owe(
                lifecycle.progress(attempt.ticket.held, attempt.ticket.id, report=report)
            )

    def yielded(
        self, attempt: Attempt, part: Yielded, now: float, *, taken: Callable[[], None]
    ) -> None:
        """Let the broker have a part of what an attempt yields; `taken` is called when it has."""
        self.begun([attempt], now)
        left_seconds = attempt.began_at + attempt.timeout_seconds - now
        self._yields.add(attempt.ticket, part, left_seconds=left_seconds, taken=taken)

    def ended(self, attempt: Attempt, outcome: Outcome, now: float) -> None:
        """End an attempt as its executor says."""
        if outcome.result is not None:
            self._finish(
                attempt,
                outcome,
                status=Status.SUCCEEDED,
                celery_result=message.succeeded_result(attempt.ticket.id, outcome.result),
            )
            return
        error = FunctionError.decode(outcome.error or b"null")
        if outcome.retry_seconds is None:
            self._give_up(
                attempt,
                outcome,
                error,
                DeadLetterReason(outcome.dead_letter or DeadLetterReason.PERMANENT),
            )
            return
        self._retry(attempt, outcome, now, error=error, delay_seconds=outcome.retry_seconds)

    def timed_out(self, attempt: Attempt, now: float) -> None:
        """End an attempt that was stopped at its timeout."""
        seconds = attempt.timeout_seconds
        age_us = attempt.ticket.claimed_at_us - attempt.ticket.ages_since_us
        decision = judge(
            attempt.function,
            TimeoutError(),
            failures=attempt.ticket.failures + 1,
            age_seconds=age_us / 1_000_000 + now - attempt.began_at,
            policy=attempt.ticket.policy,
        )
        is_retried = isinstance(decision, TryAgain)
        outcome = Outcome(
            number=0,
            run_seconds=now - attempt.began_at,
            celery_result=self.celery_result(
                attempt.ticket.id, TimeLimitExceeded(seconds), traceback="", is_retried=is_retried
            ),
        )
        error = stopped_after(seconds)
        if isinstance(decision, TryAgain):
            self._retry(attempt, outcome, now, error=error, delay_seconds=decision.delay_seconds)
        else:
            self._give_up(attempt, outcome, error, decision.reason)

    def cancelled(self, attempt: Attempt, now: float) -> None:
        """End an attempt that was stopped because its invocation was cancelled."""
        self._finish(
            attempt,
            Outcome(number=0, run_seconds=now - attempt.began_at),
            status=Status.CANCELLED,
            celery_result=message.revoked_result(attempt.ticket.id, CANCELLED_RUNNING.message),
            error=CANCELLED_RUNNING,
        )

    def refused(
        self,
        ticket: Ticket,
        *,
        status: Status,
        error: FunctionError,
        celery_result: bytes,
        dead_letter: DeadLetterReason | None,
    ) -> None:
        """Finish an invocation that is not run."""
        finish = Finish(
            held=ticket.held,
            id=ticket.id,
            status=status,
            celery_result=celery_result,
            error=error.encode(),
            dead_letter=dead_letter,
            trace_parent=self._choose_span(ticket),
        )

        def then(answer: list[Ended | None]) -> None:
            self._untold.discard(ticket.held.tag)
            self._log_end(
                answer[0],
                ticket,
                status=status,
                error=error,
                traceback=None,
                dead_letter=dead_letter,
                chosen=finish.trace_parent,
            )

        self._untold.add(ticket.held.tag)
        self.debts.owe(lifecycle.finish_all([finish], retention=self.settings.retention), then)

    def interrupted(self, attempt: Attempt, now: float, *, has_crashed: bool) -> None:
        """Give an invocation back whose attempt will not end: its process is gone.

        `has_crashed` counts it against the invocation.
        """
        tag = attempt.ticket.held.tag
        self._untold.add(tag)
        self.begun([attempt], now)
        self._yields.tell(self.debts, self.worker)
        self.debts.owe(
            claims.requeue(attempt.ticket.held, has_crashed=has_crashed),
            lambda _: self._untold.discard(tag),
        )

    def flush(self) -> None:
        """Tell the broker of ends; those that come while it is being told wait for the others."""
        while (self._endings or self._yields) and not self.debts:
            # Before their ends: after these, nothing is kept of them.
            self._yields.tell(self.debts, self.worker, then=self.flush)
            if not self._endings:
                continue
            count = self._count_for_one_step()
            batch, self._endings = self._endings[:count], self._endings[count:]
            finishes = [one.finish for one in batch]
            self.debts.owe(
                lifecycle.finish_all(finishes, retention=self.settings.retention),
                partial(self._told, batch),
            )

    def _count_for_one_step(self) -> int:
        """Count the endings that the broker takes at once: it has little time for each step."""
        size_bytes = 0
        for number, ending in enumerate(self._endings[:_MOST_AT_ONCE]):
            size_bytes += len(ending.finish.result or b"") + len(ending.finish.celery_result)
            if number and size_bytes > _MOST_BYTES_AT_ONCE:
                return number
        return _MOST_AT_ONCE

    @property
    def untold(self) -> list[str]:
        """The tags of claims whose ends the broker has not heard of."""
        return list(self._untold)

    @property
    def is_behind(self) -> bool:
        """Whether so much is untold that nothing new should begin."""
        return self.debts.are_overdue or len(self._endings) + _MOST_AT_ONCE * len(self.debts) > (
            _MOST_UNTOLD
        )

    @property
    def is_busy(self) -> bool:
        """Whether there is anything that the broker has not been told."""
        return bool(self._endings or self._yields or self.debts)

    def _give_up(
        self,
        attempt: Attempt,
        outcome: Outcome,
        error: FunctionError,
        dead_letter: DeadLetterReason,
    ) -> None:
        self._finish(
            attempt,
            outcome,
            status=Status.EXPIRED if dead_letter is DeadLetterReason.EXPIRED else Status.FAILED,
            celery_result=outcome.celery_result,
            error=error,
            dead_letter=dead_letter,
        )

    def _finish(
        self,
        attempt: Attempt,
        outcome: Outcome,
        *,
        status: Status,
        celery_result: bytes,
        error: FunctionError | None = None,
        dead_letter: DeadLetterReason | None = None,
    ) -> None:
        finish = Finish(
            held=attempt.ticket.held,
            id=attempt.ticket.id,
            status=status,
            celery_result=celery_result,
            result=outcome.result,
            error=outcome.error if error is None or outcome.error else error.encode(),
            dead_letter=dead_letter,
            ran=(outcome.run_seconds, 0.0),
            trace_parent=self._choose_span(attempt.ticket),
        )
        self._untold.add(attempt.ticket.held.tag)
        self._endings.append(
            _Ending(
                finish=finish,
                attempt=attempt,
                error=error,
                traceback=outcome.traceback,
            )
        )
        self.audience.ended(attempt, status, outcome)

    def _retry(
        self,
        attempt: Attempt,
        outcome: Outcome,
        now: float,
        *,
        error: FunctionError,
        delay_seconds: float,
    ) -> None:
        ticket = attempt.ticket
        self._untold.add(ticket.held.tag)
        self.begun([attempt], now)
        self._yields.tell(self.debts, self.worker)

        def then(ended: Ended | ToBeCancelled | None) -> None:
            self._untold.discard(ticket.held.tag)
            if isinstance(ended, ToBeCancelled):
                self.cancelled(attempt, now)
                return
            self._log_end(
                ended,
                ticket,
                status=Status.RETRYING,
                error=error,
                traceback=outcome.traceback,
                retry_in_seconds=round(delay_seconds, 3),
            )

        self.debts.owe(
            lifecycle.retry(
                ticket.held,
                ticket.id,
                delay_seconds=delay_seconds,
                error=outcome.error or error.encode(),
                celery_result=outcome.celery_result,
                retention=self.settings.retention,
            ),
            then,
        )
        self.audience.ended(attempt, Status.RETRYING, outcome)

    def _told(self, batch: Sequence[_Ending], answers: Sequence[Ended | None]) -> None:
        self._untold.difference_update([one.finish.held.tag for one in batch])
        for ending, ended in zip(batch, answers, strict=True):
            self._log_end(
                ended,
                ending.attempt.ticket,
                status=ending.finish.status,
                error=ending.error,
                traceback=ending.traceback,
                dead_letter=ending.finish.dead_letter,
                chosen=ending.finish.trace_parent,
            )
        self.flush()

    def _choose_span(self, ticket: Ticket) -> str:
        """Return the `traceparent` of an attempt's span to be, for what tells of its end."""
        if not self.tracing.is_on:
            return ""
        return self.tracing.choose(ticket.function, trace_parent=ticket.trace_parent)

    def _log_end(
        self,
        ended: Ended | None,
        ticket: Ticket,
        *,
        status: Status,
        error: FunctionError | None,
        traceback: str | None,
        dead_letter: DeadLetterReason | None = None,
        retry_in_seconds: float | None = None,
        chosen: str = "",
    ) -> None:
        """Write the one line of an attempt, and make its spans if traces are on."""
        trace_id = None
        if self.tracing.is_on and ended is not None:
            trace_id = self.tracing.attempt(
                AttemptEnd(
                    invocation_id=ticket.id,
                    function=ticket.function,
                    attempt=ended.attempt,
                    status=status,
                    accepted_at_us=ended.accepted_at_us,
                    started_at_us=ended.started_at_us,
                    ended_at_us=ended.ended_at_us,
                    trace_parent=ticket.trace_parent,
                    error_type=None if error is None else error.type,
                    error_message="" if error is None or error.quotes_payload else error.message,
                    chosen=chosen,
                )
            )
        log_end(
            ended,
            invocation_id=ticket.id,
            function=ticket.function,
            status=status,
            error=error,
            traceback=traceback,
            dead_letter=dead_letter,
            retry_in_seconds=retry_in_seconds,
            trace_id=trace_id,
        )
