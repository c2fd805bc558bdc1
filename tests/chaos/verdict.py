"""What became of every accepted invocation."""

import enum
import http.client
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from tests.chaos.ledger import Ledger
from tests.chaos.load import Sent
from tests.chaos.supervisor import Supervisor

TERMINAL = {"succeeded", "failed", "cancelled", "expired"}
_ANSWER_SECONDS = 15.0
_PAUSE_SECONDS = 0.1
_NO_ANSWER: tuple[int, dict[str, Any]] = (0, {})


class Fate(enum.StrEnum):
    """What became of an accepted invocation."""

    SUCCEEDED = "succeeded"
    LOST = "lost"
    GIVEN_UP = "given up"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An accepted invocation, what became of it, and the last answer about it."""

    sent: Sent
    fate: Fate
    status: int
    record: dict[str, Any]


def judge_all(
    accepted: Sequence[Sent], supervisor: Supervisor, ledger: Ledger, *, seconds: float
) -> list[Judged]:
    """Ask for each invocation until its status is terminal, or the time is over."""
    deadline = monotonic() + seconds
    answers: dict[str, tuple[int, dict[str, Any]]] = {one.id: _NO_ANSWER for one in accepted}
    pending = list(accepted)
    with closing(_Records(supervisor)) as records:
        while pending:
            for one in pending:
                answers[one.id] = records.read(one.id)
                if answers[one.id] is _NO_ANSWER and monotonic() > deadline:
                    break
            pending = [one for one in pending if not _is_terminal(answers[one.id])]
            if monotonic() > deadline:
                break
            supervisor.pause(_PAUSE_SECONDS)
    ledger.read()
    return [judge(one, *answers[one.id], ledger) for one in accepted]


def judge(sent: Sent, status: int, record: dict[str, Any], ledger: Ledger) -> Judged:
    """Decide about one invocation; one that succeeded has to have run, says the ledger."""
    fate = Fate.WRONG
    if not _is_terminal((status, record)):
        fate = Fate.LOST
    elif record["status"] == "succeeded":
        if not ledger.ends(sent.id):
            fate = Fate.LOST
        elif record["result"] == {"id": sent.id, "next": sent.number + 1}:
            fate = Fate.SUCCEEDED
    elif record["status"] == "failed" and record["error"]["type"] == "Poison":
        # Kept as a dead letter, with a reason: that is only fair if its attempts were killed.
        fate = Fate.GIVEN_UP if len(ledger.starts(sent.id)) > 1 else Fate.LOST
    return Judged(sent=sent, fate=fate, status=status, record=record)


def _is_terminal(answer: tuple[int, dict[str, Any]]) -> bool:
    status, record = answer
    return status == http.HTTPStatus.OK and record["status"] in TERMINAL


class _Records:
    """Reads records over one HTTP connection, and lets the supervisor look after the stack."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        address = urlsplit(supervisor.stack.url).netloc
        self._connection = http.client.HTTPConnection(address, timeout=_ANSWER_SECONDS)

    def close(self) -> None:
        self._connection.close()

    def read(self, invocation_id: str) -> tuple[int, dict[str, Any]]:
        """Return an answer's status and body."""
        self._supervisor.check()
        try:
            self._connection.request("GET", f"/invocations/{invocation_id}")
            with self._connection.getresponse() as answer:
                return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return _NO_ANSWER
