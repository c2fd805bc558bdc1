"""Whatever is pushed into the queue, the worker goes on, and says what it could not read."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.testing import Stack
from tests.chaos.malformed import Kind, Message, all_kinds, sound_message
from tests.chaos.run import FUNCTIONS

QUEUE = "celery"
PLACES_OF_MESSAGES = (
    f"{QUEUE}*",
    "eyas:in_flight:*",
    "eyas:landing:*",
    "eyas:parked:*",
    "unacked*",
)
KINDS = all_kinds()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    ledger = tmp_path_factory.mktemp("malformed") / "ledger"
    environment = {"EYAS_WORKERS": "1", "CHAOS_LEDGER": str(ledger)}
    with Stack(functions_dir=FUNCTIONS, environment=environment) as stack:
        yield stack


@pytest.fixture(scope="module")
def queue(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(stack.redis_url) as client:
        yield client


def worker_starts(stack: Stack) -> list[int]:
    """Return the process ids of the worker, one for each time that it began to take messages."""
    text = (stack.log_dir / "worker.log").read_text(encoding="utf-8")
    records = [json.loads(line) for line in text.splitlines()]
    return [record["pid"] for record in records if record["event"] == "worker.ready"]


def malformed_ids(stack: Stack) -> set[str]:
    """Return the ids of the latest dead letters that were no message."""
    answer = stack.request("/dead-letters?limit=100")
    assert answer.status == 200, answer.raw
    return {
        letter["id"] for letter in answer.body["dead_letters"] if letter["reason"] == "Malformed"
    }


def is_at_rest(queue: redis.Redis) -> bool:
    """Tell whether no message is anywhere, and no invocation waits for one."""
    # A queue is a list; Celery's results, whose keys begin alike, are not.
    held = [
        key
        for pattern in PLACES_OF_MESSAGES
        for key in queue.scan_iter(pattern)
        if queue.type(key) in {b"list", b"hash", b"zset"}
    ]
    return not held and not queue.zcard("eyas:open")


def push(stack: Stack, queue: redis.Redis, messages: list[bytes]) -> None:
    """Push messages and then a sound invocation; check that the worker is none the worse."""
    # A worker takes messages a moment before it says so in its log.
    stack.wait_for(lambda: bool(worker_starts(stack)), "the worker to say that it is ready")
    before = worker_starts(stack)
    queue.lpush(QUEUE, *messages)

    assert stack.invoke("fast", {"number": 1}, seconds=10)["next"] == 2
    stack.wait_for(lambda: is_at_rest(queue), "no message to be anywhere", seconds=10)
    assert worker_starts(stack) == before == [stack.running["worker"].pid], "the worker restarted"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_message_that_is_none_becomes_a_dead_letter(
    stack: Stack, queue: redis.Redis, kind: Kind
) -> None:
    before = malformed_ids(stack)

    push(stack, queue, [kind.make(sound_message())])

    if kind.is_surely_malformed:
        assert len(malformed_ids(stack) - before) == 1


def test_sound_messages_between_malformed_ones_are_all_run(
    stack: Stack, queue: redis.Redis
) -> None:
    sound = [sound_message() for _ in KINDS]
    malformed = [kind.make(sound_message()) for kind in KINDS]
    mixed = [*malformed, *(message.text for message in sound)]
    random.Random(1).shuffle(mixed)  # noqa: S311  repeatable, not secret

    push(stack, queue, mixed)

    for message in sound:
        invocation_id = message.envelope["headers"]["id"]
        record = stack.request(f"/invocations/{invocation_id}").body
        assert (record["status"], record["result"]) == (
            "succeeded",
            {"id": invocation_id, "next": 2},
        )


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=8,
)


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for name, inner in items:
        yield (*path, name)
        yield from places_in(inner, (*path, name))


PLACES = list(places_in({"envelope": sound_message().envelope, "body": sound_message().body}))


@st.composite
def mutated_messages(draw: st.DrawFn) -> bytes:
    """Make a message with one to three parts changed or left out, or some of its bytes."""
    message = sound_message(str(draw(st.uuids())))
    parts: dict[str, Any] = {"envelope": message.envelope, "body": message.body}
    for path in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        change(parts, path, draw(JSON_VALUES), is_removed=draw(st.booleans()))
    try:
        text = Message(**parts).text
    except TypeError:  # the envelope is no object any more
        text = json.dumps(parts["envelope"]).encode()
    if draw(st.integers(0, 3)) == 0:
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, len(text)))
        text = text[:start] + draw(st.binary(max_size=20)) + text[end:]
    return text


def change(parts: dict[str, Any], path: tuple[Any, ...], value: Any, *, is_removed: bool) -> None:
    """Change or remove what is at a place, unless a change before it has taken the place away."""
    parent: Any = parts
    try:
        for name in path[:-1]:
            parent = parent[name]
        if is_removed and len(path) > 1:
            del parent[path[-1]]
        else:
            parent[path[-1]] = value
    except (LookupError, TypeError):
        return


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(messages=st.lists(mutated_messages(), min_size=1, max_size=8))
def test_mutated_messages_do_not_stop_the_worker(
    stack: Stack, queue: redis.Redis, messages: list[bytes]
) -> None:
    push(stack, queue, messages)
