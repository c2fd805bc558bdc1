"""The stack under test, seen from outside: its counts and its records."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from loadtests.contract import PATH

_SECONDS = 10.0

# A proxy of the surroundings is not part of what is measured.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NoStackError(Exception):
    """Nothing that can be measured answers; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many invocations of the function were accepted, and what became of them."""

    accepted: int
    queued: int
    running: int
    retrying: int
    succeeded: int
    failed: int
    cancelled: int
    expired: int

    @property
    def outstanding(self) -> int:
        """Accepted and not finished."""
        return self.queued + self.running + self.retrying

    @property
    def finished(self) -> int:
        return self.succeeded + self.failed + self.cancelled + self.expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One running stack."""

    url: str

    def find(self) -> Counts:
        """Return the counts. Raises `NoStackError` if there is nothing to measure."""
        try:
            status, body = self._get(PATH)
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise NoStackError(
                f"no stack answers at {self.url} ({reason}). "
                "Start one with `make start`, or name another with --host."
            ) from None
        try:
            return _counts(body)
        except ValueError:
            raise NoStackError(
                f"{self.url}{PATH} answers with status {status} and no counts of invocations. "
                "Is this the right --host, and does it have the function?"
            ) from None

    def counts(self) -> Counts | None:
        """Return the counts, or `None` when the stack does not give them now."""
        try:
            return _counts(self._get(PATH)[1])
        except (OSError, ValueError):
            return None

    def record(self, invocation_id: str, *, wait_seconds: int) -> tuple[int, bytes]:
        """Return status and body of a record, waited for; status 0 when there is no answer."""
        try:
            return self._get(
                f"/invocations/{invocation_id}",
                headers={"Prefer": f"wait={wait_seconds}"},
                seconds=_SECONDS + wait_seconds,
            )
        except OSError:
            return 0, b""

    def _get(
        self, path: str, *, headers: dict[str, str] | None = None, seconds: float = _SECONDS
    ) -> tuple[int, bytes]:
        request = urllib.request.Request(self.url + path, headers=headers or {})  # noqa: S310  --host is checked
        try:
            with _opener.open(request, timeout=seconds) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except HTTPException as error:
            raise OSError(f"not HTTP: {error!r}") from error


def _counts(body: bytes) -> Counts:
    answer: Any = json.loads(body)
    try:
        counts = answer["counts"]
        return Counts(**{name: int(counts[name]) for name in Counts.__slots__})
    except (KeyError, TypeError):
        raise ValueError("no counts") from None
