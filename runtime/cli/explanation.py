"""The story of an invocation in plain sentences, made of its record alone."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from runtime.cli.durations import in_words

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
    "RetriesExhausted": "all its retries are used up",
    "Permanent": "the error is one that another attempt would not change",
    "Expired": "it became too old (max_age)",
    "Poison": "it has killed its process too often",
    "Malformed": "its message is not one that can be read",
    "ZeroReservedConcurrency": "its function's reserved concurrency was 0",
}
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
    history = record.get("history", ())
    # Of these the history says more than the record does.
    told = {happening["attempt"] for happening in history if "attempt" in happening}
    yield _accepted(record)
    for happening in history:
        yield _happened(happening, record)
    if record["attempt"] not in told:
        yield from _attempt(record, is_first=not told)
    yield from _end(record, has_run=record["attempt"] not in told)
    yield from _next(record, now=now, workers=workers)


def _accepted(record: Mapping[str, Any]) -> str:
    how = _BY.get(record["trigger"], f"by {record['trigger']}")
    text = f"{record['function']} was invoked {how}, and accepted at {_time(record['accepted_at'])}"
    if record.get("replay_of"):
        text += f", as a replay of {record['replay_of']}"
    if record.get("delay_seconds"):
        text += f". It was asked to wait {in_words(record['delay_seconds'])} before it runs"
    return f"{text}."


def _happened(happening: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    match happening["what"]:
        case "failed":
            return _failed(happening)
        case "lost":
            return _lost(happening)
        case what:
            said = _HAPPENED.get(what, what).format(function=record["function"])
            return f"At {_time(happening['at'])} {said}."


def _failed(happening: Mapping[str, Any]) -> str:
    error = happening["error"]
    return (
        f"Attempt {happening['attempt']} began at {_time(happening['started_at'])} and failed "
        f"{_between(happening['started_at'], happening['at'])} later: {error['type']}: "
        f"{error['message']}. The next one was put off by "
        f"{_between(happening['at'], happening['due_at'])}, until {_time(happening['due_at'])}."
    )


def _lost(happening: Mapping[str, Any]) -> str:
    at, worker = _time(happening["at"]), happening["worker"]
    if "started_at" not in happening:
        return (
            f"The worker {worker} had claimed it for attempt {happening['attempt']}, and died; it "
            f"was recovered at {at}, into the queue."
        )
    return (
        f"Attempt {happening['attempt']} began at {_time(happening['started_at'])}. Its process "
        f"died, or was killed, in {worker}; it was recovered at {at}, "
        f"{_between(happening['started_at'], happening['at'])} later, into the queue."
    )


def _attempt(record: Mapping[str, Any], *, is_first: bool) -> Iterator[str]:
    """Tell of the latest attempt."""
    if record["status"] in {"queued", "retrying"} or record["started_at"] is None:
        return
    waited = (
        f", {in_words(record['queue_wait_ms'] / 1000)} after it was accepted" if is_first else ""
    )
    yield f"Attempt {record['attempt']} began at {_time(record['started_at'])}{waited}."


def _end(record: Mapping[str, Any], *, has_run: bool) -> Iterator[str]:
    if record["finished_at"] is None:
        return
    at = _time(record["finished_at"])
    is_timed = has_run and record["run_ms"] is not None
    ran = f" after {in_words(record['run_ms'] / 1000)}" if is_timed else ""
    if record["status"] == "succeeded":
        yield f"It succeeded{ran}, at {at}."
        return
    error = record["error"]
    yield f"It {_ENDED[record['status']]}{ran}, at {at}: {error['type']}: {error['message']}"
    reason = record.get("dead_letter")
    if reason:
        yield f"It was given up, because {_REASONS.get(reason, reason)}."


def _next(record: Mapping[str, Any], *, now: datetime, workers: int | None) -> Iterator[str]:
    """Tell what happens next, or what can be done."""
    name = record["id"]
    match record["status"]:
        case "queued" | "retrying" if record["due_at"] is not None:
            due = datetime.fromisoformat(record["due_at"])
            when = in_words((due - now).total_seconds()) if due > now else "no time"
            yield f"Next: attempt {record['attempt'] + 1}, in {when}, at {_time(record['due_at'])}."
        case "queued" | "retrying" if workers == 0:
            yield "Next: nothing, until a worker takes messages. None does: is one started?"
        case "queued" | "retrying":
            waits = datetime.fromisoformat(record["accepted_at"])
            yield (
                f"Next: attempt {record['attempt'] + 1}, as soon as a worker has room for it. It "
                f"was accepted {in_words((now - waits).total_seconds())} ago."
            )
        case "running":
            began = datetime.fromisoformat(record["started_at"])
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


def _time(text: str) -> str:
    """Return a time in the local time zone, to the millisecond."""
    at = datetime.fromisoformat(text).astimezone()
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d}"


def _between(start: str, end: str) -> str:
    passed = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return in_words(passed.total_seconds())
