r"""Every key that a stack uses in the broker.

| key                               | type   | holds                                              |
|-----------------------------------|--------|----------------------------------------------------|
| `eyas:invocation:{id}`            | hash   | the record of one invocation, fields below; expires|
|                                   |        | some time after a terminal status                  |
| `eyas:chunks:{id}`                | list   | number of an attempt that yields, and what it has  |
|                                   |        | yielded, in parts: JSON lists. Until a minute after|
|                                   |        | the time at which it is stopped                    |
| `eyas:open`                       | zset   | id -> accepted_at, of those without such a status  |
| `eyas:accepted:{hour}`            | list   | the invocations accepted in an hour (since the     |
|                                   |        | epoch), the latest first; each entry is up to 50 of|
|                                   |        | one step: microseconds of the hour, blank, ids with|
|                                   |        | blanks between, newline, function                  |
| `eyas:hours`                      | zset   | hours that have such a list                        |
| `eyas:outliving`                  | zset   | id -> accepted_at, of those that ended and are kept|
|                                   |        | for longer than such a list; some may be gone      |
| `eyas:counts:{function}`          | hash   | how many invocations were `accepted`, and how many |
|                                   |        | now have each status; a terminal one is counted for|
|                                   |        | ever: accepted = sum of the others                 |
| `eyas:functions`                  | set    | names of the functions that have counts            |
| `celery`                          | list   | queued messages; producers push left, workers claim|
|                                   |        | right. Less urgent ones of stock producers are in  |
|                                   |        | `celery\x06\x163`, and the same with 6 and 9       |
| `eyas:claims`                     | string | how many claims were made; numbers the next one    |
| `eyas:landing:{worker}`           | list   | a message that the worker was waiting for, and has |
|                                   |        | not claimed yet                                    |
| `eyas:landing_queue:{worker}`     | string | the queue that it came from                        |
| `eyas:in_flight:{worker}`         | hash   | tag of a claim -> message                          |
| `eyas:running:{worker}`           | hash   | tag -> id, of claims whose attempt has started     |
| `eyas:cancelling:{worker}`        | set    | ids of running invocations that it shall stop      |
| `eyas:leases`                     | zset   | worker -> when its lease lapses                    |
| `eyas:consuming`                  | set    | workers that take messages                         |
| `eyas:swept_at`                   | string | when lapsed leases were looked for last            |
| `eyas:delayed`                    | zset   | id -> when it is due; the message is in the record |
| `eyas:metrics`                    | hash   | what `/metrics` shows besides counts, fields below |
| `eyas:schedules`                  | hash   | what is known of schedules, five fields for each   |
|                                   |        | function, below                                    |
| `eyas:slots:{function}`           | set    | claims that hold one of a function's slots         |
| `eyas:parked:{function}`          | list   | messages that wait for one: queue, newline, message|
| `eyas:parked`, `eyas:concurrency` | set,   | functions that have such; their numbers of slots   |
|                                   | hash   |                                                    |
| `eyas:dead`, `eyas:dead:{function}`| zset  | id -> when it became a dead letter                 |
| `eyas:seen:{day}`                 | set    | ids that existed, until that day (since the epoch) |
| `eyas:idempotency:{function}:{key}`| string| digest of the payload, blank, id; an event's key is |
|                                   |        | made of its source and id, and not in ASCII; of a  |
|                                   |        | call of an AWS SDK, `sdk/` is before the function, |
|                                   |        | and `durable/` of an execution that has a name     |
| `eyas:revoked:{id}`               | string | cancelled by a Celery program before it was claimed|
| `eyas:event_invoke_configs`       | hash   | function -> JSON of what was said of its           |
|                                   |        | asynchronous calls through the Lambda API          |
| `eyas:reserved_concurrency`       | hash   | function -> how many attempts are reserved for it, |
|                                   |        | so that no more run at a time; in the same way     |
| `eyas:clock`                      | string | microseconds that the clock of invocations is ahead|
|                                   |        | of the broker's, at which time of that, and how    |
|                                   |        | many times as fast it goes; only of an emulator    |
| `celery-task-meta-{id}`           | string | Celery's result, for `AsyncResult(id).get()`       |

All times are microseconds since the epoch, by the clock of invocations; leases and sweeps go by the
broker's own.

Channels: `eyas:invocation:{id}` gets each new status, and if somebody listens when an attempt ends
the invocation, after a blank the record: its fields and values, packed by `cmsgpack`;
what is no status if the record is gone; and `yielded` when there is news in `eyas:chunks:{id}`.
`eyas:changes:{status}` gets, while somebody listens, each invocation that gets this status: its id
and what a line about it needs, packed by `cmsgpack`.
`eyas:handover:{worker}` gets, while the worker listens and holds nothing, an invocation that was
claimed for it as it was accepted: length of the payload, blank, payload, and what else a claim
gives out, packed by `cmsgpack`.
`celery-task-meta-{id}` gets Celery's result.

Fields of a record: `function`, `status`, `trigger`, `payload` (JSON), `attempt`, `max_attempts`,
`retries`, `accepted_at`, `started_at`, `finished_at`, `due_at` (while delayed), `expires_at`,
`result` (JSON), `error` (JSON), `progress` (JSON), `request_id`, `replay_of`, `dead_letter` (why),
`callback` (URL to tell of the end), `on_success`, `on_failure` (destinations to tell of such an
end), `ends` (how many were told of), `depth` (how many before it told the next one of their end),
`calling` (JSON: what a caller of the Lambda API has said besides the payload), `policy` (its own),
`history` (what happened to it on its way: JSON objects, one on each line), `delay` (microseconds
that were asked for), `failures` (function errors so far), `crashes` (processes that died),
`redriven_at` (since when it ages, then), `cancel_requested`, `parked`, `claim` (worker, blank, tag:
who runs it), `finished_by`, `retried_by` (tokens of requests), `retried_at`, and, while it is
delayed or a dead letter, its `message` and the `queue` to put that into.

Fields of `eyas:schedules`, each followed by `:{function}`: `definition` and `due` (when it runs
next, by that definition), `paused` (if it is), `ran_at` and `id` (of the latest run).

Fields of `eyas:metrics`: `wait:{bucket}:{function}` and `run:{bucket}:{function}` (how many first
attempts waited, and how many attempts ran, for a time that goes into a bucket), the same with `sum`
in place of the bucket (all times, in microseconds), `finished:{status}:{function}` (never less, as
`eyas:counts` is after a redrive), `retried:{function}`, `crashed:{function}`
(attempts whose process or worker died), `recovered:{function}` (found to be nowhere), `renewals`
and `lapsed` (of leases), `given_back` (messages whose worker's lease had lapsed).

A message is in exactly one of these places: a queue, a landing list, an in-flight set, a parked
list, or the record of a delayed invocation. Every step that moves it is one script.
"""

DEAD_LETTERS = "eyas:dead"
SCHEDULES = "eyas:schedules"
EVENT_INVOKE_CONFIGS = "eyas:event_invoke_configs"
RESERVED_CONCURRENCY = "eyas:reserved_concurrency"

OF_INVOCATIONS = (
    b"eyas:invocation:",
    b"eyas:idempotency:",
    b"eyas:revoked:",
    b"eyas:seen:",
    b"eyas:accepted:",
    b"celery-task-meta-",
)
"""How keys begin that hold what is known of single invocations, for some time by their clock. All
others are about processes, or go with a step of their own."""

OF_ATTEMPTS = (b"eyas:chunks:",)
"""How keys begin that hold what is known of single attempts, and end in real time, like these."""


def invocation(invocation_id: str) -> str:
    """Key of the record, and name of the channel of its status."""
    return f"eyas:invocation:{invocation_id}"


def chunks(invocation_id: str) -> str:
    return f"eyas:chunks:{invocation_id}"


def changes(status: str) -> str:
    """Name of the channel of all invocations that get a status."""
    return f"eyas:changes:{status}"


def counts(function: str) -> str:
    return f"eyas:counts:{function}"


def in_flight(worker: str) -> str:
    return f"eyas:in_flight:{worker}"


def landing(worker: str) -> str:
    return f"eyas:landing:{worker}"


def handover(worker: str) -> str:
    """Name of the channel of what is handed over to a worker."""
    return f"eyas:handover:{worker}"


def parked(function: str) -> str:
    return f"eyas:parked:{function}"


def dead_letters(function: str | None) -> str:
    return f"{DEAD_LETTERS}:{function}" if function is not None else DEAD_LETTERS


def idempotency(function: str, key: str, *, scope: str = "") -> str:
    """Key of a caller's key; a `scope` ends with a slash, which no function's name has."""
    return f"eyas:idempotency:{scope}{function}:{key}"


def celery_result(invocation_id: str) -> str:
    return f"celery-task-meta-{invocation_id}"
