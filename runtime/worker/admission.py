"""What happens to a message between being claimed and being run."""

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from runtime import json_text, message
from runtime.errors import InvalidPayloadError
from runtime.function import Function
from runtime.invocation import Invocation, Status, new_id
from runtime.outcome import FunctionError, killed_its_worker, not_registered
from runtime.policy import DeadLetterReason
from runtime.settings import Settings
from runtime.store import Store, claims, lifecycle
from runtime.store.claims import Claim, Ticket
from runtime.worker import envelope
from runtime.worker.envelope import Envelope, MalformedMessageError

_log = structlog.get_logger("worker")

_BUILT_IN = "celery."
# What is not registered is recorded and counted under one name: others could send any number.
_UNKNOWN = "unknown"
_SHOWN_CHARACTERS = 10_000
_NAME = re.compile(rb'"task"\s*:\s*"([A-Za-z_][A-Za-z0-9_.-]{0,199})"')
# A process that dies takes with it what it claimed and has not started; most of that is innocent.
_INNOCENT_DELIVERIES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Lets sound messages of known functions pass, when they are due, and deals with all others."""

    functions: Mapping[str, Function[..., Any]]
    store: Store
    settings: Settings
    take: Callable[[Iterable[Ticket]], None]

    def admit(self, held: Claim, raw: bytes) -> dict[str, Any] | None:
        """Return the message as kombu takes it; None if Celery is not to run it, or not now."""
        if held.deliveries > self.settings.max_deliveries * _INNOCENT_DELIVERIES:
            self._bury_poison(held, raw)
            return None
        try:
            sound = envelope.read(raw, tag=held.tag, queue=held.queue)
        except MalformedMessageError as error:
            self.quarantine(held, raw, reason=DeadLetterReason.MALFORMED, why=str(error))
            return None
        if sound.task.startswith(_BUILT_IN):
            return sound.raw
        if not sound.is_ours:
            self._adopt(sound)
        if sound.task not in self.functions:
            self._finish_unknown(held, sound)
            return None
        if sound.due_at is not None and self._is_put_off(held, sound, sound.due_at):
            return None
        return self._for_celery(held, sound)

    def _for_celery(self, held: Claim, sound: Envelope) -> dict[str, Any] | None:
        if sound.is_plain and self._fits(sound):
            self.take([_ticket(held, sound)])
            return None
        # Celery would hold a message with an `eta` in its memory.
        sound.raw["headers"]["eta"] = None
        return sound.raw

    def quarantine(self, held: Claim, raw: bytes, *, reason: DeadLetterReason, why: str) -> None:
        """Make a dead letter of a message that cannot be run."""
        shown = raw.decode("utf-8", "backslashreplace")
        named = _NAME.search(raw[:_SHOWN_CHARACTERS])
        task = named[1].decode() if named else None
        if task is not None and task not in self.functions:
            why = f"{why} (its task is {task!r})"
        dead_letter = Invocation(
            id=new_id(),
            function=task if task is not None and task in self.functions else _UNKNOWN,
            payload=json_text.encode(shown[:_SHOWN_CHARACTERS]),
            trigger="celery",
            timeout_seconds=0,
        )
        is_buried = self.store.insist(
            claims.quarantine(
                held,
                dead_letter=dead_letter,
                error=FunctionError(type=reason, message=why).encode(),
                reason=reason,
                retention=self.settings.retention,
            )
        )
        if is_buried:
            _log.error(
                "message.quarantined",
                invocation_id=dead_letter.id,
                function=dead_letter.function,
                dead_letter=reason,
                reason=why,
            )

    def _adopt(self, sound: Envelope) -> None:
        """Make the record of a message that a Celery program has put into the queue."""
        function = self.functions.get(sound.task)
        payload = {"args": sound.args, "kwargs": sound.kwargs}
        if function is not None:
            # If they do not fit, the attempt fails, so that a chain or chord hears of it.
            with contextlib.suppress(InvalidPayloadError):
                payload = function.payload.named(sound.args, sound.kwargs)
        try:
            text = json_text.encode(payload)
        except json_text.NotJSONError:
            text = json_text.encode({"args": repr(sound.args), "kwargs": repr(sound.kwargs)})
        policy = function.retry_policy if function is not None else None
        self.store.insist(
            lifecycle.accept(
                Invocation(
                    id=sound.id,
                    function=sound.task if function is not None else _UNKNOWN,
                    payload=text,
                    trigger="celery",
                    timeout_seconds=0,
                    retries=policy.retries if policy else 0,
                    max_age_seconds=policy.max_age_seconds if policy else None,
                ),
                b"",
                listed_seconds=self.settings.retention.record_seconds,
            )
        )

    def _fits(self, sound: Envelope) -> bool:
        """Tell whether the record has the payload as the function takes it."""
        try:
            self.functions[sound.task].payload.named(sound.args, sound.kwargs)
        except InvalidPayloadError:
            return False
        return True

    def _is_put_off(self, held: Claim, sound: Envelope, due_at: datetime) -> bool:
        until_us = round(due_at.timestamp() * 1_000_000)
        return self.store.insist(claims.put_off(held, sound.id, until_us=until_us))

    def _finish_unknown(self, held: Claim, sound: Envelope) -> None:
        error = not_registered(sound.task)
        celery_error = ("NotRegistered", sound.task)
        self._fail(held, sound.id, error, DeadLetterReason.PERMANENT, celery_error=celery_error)
        _log.error("message.unknown_function", invocation_id=sound.id, function=sound.task)

    def _bury_poison(self, held: Claim, raw: bytes) -> None:
        error = killed_its_worker(held.deliveries - 1)
        invocation_id = message.id_in(raw)
        if invocation_id is None or not self._fail(
            held,
            invocation_id,
            error,
            DeadLetterReason.POISON,
            celery_error=("WorkerLostError", error.message),
        ):
            self.quarantine(held, raw, reason=DeadLetterReason.POISON, why=error.message)

    def _fail(
        self,
        held: Claim,
        invocation_id: str,
        error: FunctionError,
        reason: DeadLetterReason,
        *,
        celery_error: tuple[str, str],
    ) -> bool:
        ended = self.store.insist(
            lifecycle.finish(
                held,
                invocation_id,
                status=Status.FAILED,
                celery_result=message.failed_result(
                    invocation_id,
                    state="FAILURE",
                    error_type=celery_error[0],
                    error_message=celery_error[1],
                ),
                retention=self.settings.retention,
                error=error.encode(),
                dead_letter=reason,
            )
        )
        return ended is not None


def _ticket(held: Claim, sound: Envelope) -> Ticket:
    return Ticket(
        held=held,
        id=sound.id,
        function=sound.task,
        claimed_at_us=0,
        fresh=False,
        trace_parent=sound.trace_parent,
    )
