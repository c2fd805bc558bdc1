"""Every key that a stack uses in the broker.

| key                            | type   | holds                                                |
|--------------------------------|--------|------------------------------------------------------|
| `eyas:invocation:{id}`         | hash   | the record of one invocation, fields below; expires  |
|                                |        | some time after a terminal status                    |
| `eyas:counts:{function}`       | hash   | how many invocations were `accepted`, and how many   |
|                                |        | now have each status; a terminal one is counted for  |
|                                |        | ever: accepted = sum of the others                   |
| `eyas:workers`                 | zset   | worker name -> when its sign of life lapses, seconds |
| `celery`                       | list   | queued messages; producers push left, workers pop    |
|                                |        | right                                                |
| `unacked`, `unacked_index`     | hash,  | kombu's: messages that a worker holds, and since     |
|                                | zset   | when                                                 |
| `celery-task-meta-{id}`        | string | Celery's result, for `AsyncResult(id).get()`         |

Channels: `eyas:invocation:{id}` gets each new status; `celery-task-meta-{id}` gets Celery's result.

Fields of a record: `function`, `status`, `trigger`, `payload` (JSON), `attempt`, `max_attempts`,
`accepted_at`, `started_at`, `finished_at` (microseconds since the epoch, by the broker's clock),
`result` (JSON), `error` (JSON), `worker` (who runs it), `request_id`.
"""

WORKERS = "eyas:workers"


def invocation(invocation_id: str) -> str:
    """Key of the record, and name of the channel of its status."""
    return f"eyas:invocation:{invocation_id}"


def counts(function: str) -> str:
    return f"eyas:counts:{function}"


def celery_result(invocation_id: str) -> str:
    return f"celery-task-meta-{invocation_id}"
