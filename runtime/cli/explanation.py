"""The story of an invocation in plain sentences, made of its record alone."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from runtime.cli.durations import in_words, local
from runtime.cli.record import summary

_BY = {
    "http": "over HTTP",
    "event": "for an event",
    "schedule": "because its schedule said so",
    "celery": "from a Celery program",
    "callback": "to tell a URL of another invocation's end",
    "destination": "to tell of another invocation's end",
}
_ENDED = {"failed": "failed", "cancelled": "was cancelled", "expired": "became too old to run"}
_REASONS = {
    "RetriesExhausted": "it has no attempts left",
    "Permanent": "the error is one that another attempt would not change",
    "Expired": "it became too old (max_age)",
    "Poison": "it has killed its process too often",
    "Malformed": "its message is not one that can be read",
    "ZeroReservedConcurrency": "its function's reserved concurrency was 0",
}
_ENDS_OF_ATTEMPTS = frozenset({"failed", "lost", "given_up"})
_HAPPENED = {
    "parked": "as many attempts of {function} ran as its concurrency allows: it waited for one of "
    "them to end",
    "cancelling": "somebody asked to cancel it while it ran",
    "recovered": "it was found to be in no queue and in nobody's hands, and was queued again: "
    "something else than Eyas had taken its message away",
    "redriven": "it was taken out of the dead letters and queued again",
}


def explain(record: Mapping[str, Any], *, now: datetime, workers: int | None) -> Iterator[str]:
    """Yield one sentence or two for each thing that has happened, and for what happens next.

    `record` is what `GET /invocations/{id}` answers, `now` the time of the clock of invocations,
    and `workers` the number of those that take messages, if it is known.
    """
    yield _accepted(record)
    told = _told(record)
    if told and min(told) > 1:
        yield f"What happened before attempt {min(told)} is not kept any more."
    for _, sentence in sorted(_steps(record), key=lambda step: step[0]):
        yield sentence
    yield from _end(record)
    yield from _next(record, now=now, workers=workers)


def _told(record: Mapping[str, Any]) -> set[int]:
    """Return the attempts that are told of."""
    told = _past(record)
    return told | {record["attempt"]} if _is_latest_told(record) else told


def _past(record: Mapping[str, Any]) -> set[int]:
    """Return the attempts of which the history says more than the record does."""
    return {one["attempt"] for one in record.get("history", ()) if "attempt" in one}


def _is_latest_told(record: Mapping[str, Any]) -> bool:
    """Tell whether the record says more of the latest attempt than the history does."""
    has_begun = record["started_at"] is not None and record["status"] not in {"queued", "retrying"}
    return has_begun and record["attempt"] not in _past(record)


def _accepted(record: Mapping[str, Any]) -> str:
    how = _BY.get(record["trigger"], f"by {record['trigger']}")
    if record.get("request_id"):
        how += f" (request {record['request_id']})"
    text = f"{record['function']} was invoked {how}, and accepted at {_time(record['accepted_at'])}"
    if record.get("replay_of"):
        text += f", as a replay of {record['replay_of']}"
    if record.get("delay_seconds"):
        text += f". It was asked to wait {in_words(record['delay_seconds'])} before it runs"
    return f"{text}."


def _steps(record: Mapping[str, Any]) -> Iterator[tuple[datetime, str]]:
    """Yield what has happened in between, each with its time, in no order."""
    history = record.get("history", ())
    times = [_moment(one["at"]) for one in history]
    told = set[int]()
    for one, at in zip(history, times, strict=True):
        if one["what"] not in _ENDS_OF_ATTEMPTS:
            what = _HAPPENED.get(one["what"], one["what"]).format(function=record["function"])
            yield at, f"At {_time(one['at'])} {what}."
        elif "started_at" not in one or one["attempt"] in told:
            yield at, _ended_unbegun(one)
        else:
            began_at = _moment(one["started_at"])
            began = f"Attempt {one['attempt']} began at {_time(one['started_at'])}"
            is_split = any(began_at < other < at for other in times)
            if is_split:
                yield began_at, f"{began}."
            yield at, _ended(one, began=None if is_split else began)
        if "attempt" in one:
            told.add(one["attempt"])
    if _is_latest_told(record):
        yield _moment(record["started_at"]), _latest(record, is_first=not told)


def _ended(happening: Mapping[str, Any], *, began: str | None) -> str:
    """Tell of the end of an attempt; with `began`, also of its beginning, which is that."""
    after = _between(happening["started_at"], happening["at"])
    if happening["what"] == "lost":
        whose = (
            f"{began}. Its process" if began else f"The process of attempt {happening['attempt']}"
        )
        return (
            f"{whose} died, or was killed, in {happening['worker']}; it was recovered at "
            f"{_time(happening['at'])}, {after} later, into the queue."
        )
    failed = (
        f"{began} and failed {after} later"
        if began
        else f"Attempt {happening['attempt']} failed after {after}"
    )
    if happening["what"] == "given_up":
        then = f"It was given up, because {_why(happening['reason'], happening)}."
    else:
        put_off = _between(happening["at"], happening["due_at"])
        then = f"The next one was put off by {put_off}, until {_time(happening['due_at'])}."
    return f"{failed}: {summary(happening['error'])}. {then}"


def _ended_unbegun(happening: Mapping[str, Any]) -> str:
    """Tell of the end of an attempt that is told already, or of which no beginning is known."""
    at = _time(happening["at"])
    if happening["what"] == "lost":
        return (
            f"The worker {happening['worker']} had claimed it for attempt {happening['attempt']}, "
            f"and died; it was recovered at {at}, into the queue."
        )
    return (
        f"At {at} it was given up, because {_why(happening['reason'], happening)}: "
        f"{summary(happening['error'])}."
    )


def _latest(record: Mapping[str, Any], *, is_first: bool) -> str:
    waited = (
        f", {in_words(record['queue_wait_ms'] / 1000)} after it was accepted" if is_first else ""
    )
    return f"Attempt {record['attempt']} began at {_time(record['started_at'])}{waited}."


def _why(reason: str, told_of: Mapping[str, Any]) -> str:
    """Return why it was given up, `told_of` being the record or the happening that says so."""
    if reason == "RetriesExhausted" and told_of.get("attempt") == 1:
        return "it has no retries"
    return _REASONS.get(reason, reason)


def _end(record: Mapping[str, Any]) -> Iterator[str]:
    if record["finished_at"] is None:
        return
    at = _time(record["finished_at"])
    is_timed = _is_latest_told(record) and record["run_ms"] is not None
    ran = f" after {in_words(record['run_ms'] / 1000)}" if is_timed else ""
    if record["status"] == "succeeded":
        yield f"It succeeded{ran}, at {at}."
        return
    yield f"It {_ENDED[record['status']]}{ran}, at {at}: {summary(record['error'])}"
    reason = record.get("dead_letter")
    if reason:
        yield f"It was given up, because {_why(reason, record)}."


def _next(record: Mapping[str, Any], *, now: datetime, workers: int | None) -> Iterator[str]:
    """Tell what happens next, or what can be done."""
    name = record["id"]
    match record["status"]:
        case "queued" | "retrying" if record["due_at"] is not None:
            due = _moment(record["due_at"])
            when = in_words((due - now).total_seconds()) if due > now else "no time"
            yield f"Next: attempt {record['attempt'] + 1}, in {when}, at {_time(record['due_at'])}."
        case "queued" | "retrying" if workers == 0:
            yield "Next: nothing, until a worker takes messages. None does: is one started?"
        case "queued" | "retrying":
            waits = _moment(record["accepted_at"])
            yield (
                f"Next: attempt {record['attempt'] + 1}, as soon as a worker has room for it. It "
                f"was accepted {in_words((now - waits).total_seconds())} ago."
            )
        case "running":
            began = _moment(record["started_at"])
            yield (
                f"It has been running for {in_words((now - began).total_seconds())}. Next: its end."
            )
        case _ if record.get("dead_letter"):
            yield (
                f"Next: nothing by itself. `eyas dead-letters redrive {name}` runs it again, "
                f"`eyas logs --id {name}` shows what was logged."
            )
        case "failed":
            yield f"Next: nothing by itself. `eyas replay {name}` runs it once more, as a new one."
        case _:
            return


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _time(text: str) -> str:
    """Return a time in the local time zone, to the millisecond."""
    at = local(text)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


def _between(start: str, end: str) -> str:
    passed = _moment(end) - _moment(start)
    return in_words(passed.total_seconds())
