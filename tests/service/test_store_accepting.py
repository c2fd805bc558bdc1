"""Accepting: under which key, name and id, and how many; step by step."""

from concurrent.futures import ThreadPoolExecutor

from runtime.invocation import IdempotencyKey, Invocation
from runtime.message import TRIGGER_HEADER, encode
from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import Store, dead_letters, lifecycle, records
from runtime.store.claims import Claim
from runtime.store.lifecycle import Accepting
from runtime.store.records import Gone
from runtime.testing import Stack
from runtime.worker.admission import Admission
from tests.store_bench import QUEUE, RETENTION, Bench, an_invocation, message

# --- idempotency keys ------------------------------------------------------------------------


def test_of_racing_requests_with_one_idempotency_key_one_is_accepted(
    bench: Bench, broker: Stack
) -> None:
    key = IdempotencyKey(key="k", digest="d", ttl_seconds=60)

    def accept(number: int) -> lifecycle.Accepted:
        store = Store(broker.redis_url)
        try:
            invocation = an_invocation(f"id-{number}")
            return store.run(lifecycle.accept(invocation, message(invocation.id), idempotency=key))
        finally:
            store.close()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(accept, range(64)))

    assert [one.outcome for one in answers].count(Accepting.ACCEPTED) == 1
    assert {one.outcome for one in answers} == {Accepting.ACCEPTED, Accepting.REPLAYED}
    assert len({one.id for one in answers}) == 1
    assert len(bench.queued()) == 1


def test_an_idempotency_key_with_another_payload_is_a_conflict(bench: Bench) -> None:
    def accept(name: str, digest: str, function: str = "f") -> lifecycle.Accepted:
        key = IdempotencyKey(key="k: ü\n%s", digest=digest, ttl_seconds=60)
        answer = bench.run(
            lifecycle.accept(an_invocation(name, function), message(name), idempotency=key)
        )
        assert isinstance(answer, lifecycle.Accepted)
        return answer

    assert accept("id-1", "d1").outcome is Accepting.ACCEPTED
    assert accept("id-2", "d2") == lifecycle.Accepted(outcome=Accepting.CONFLICT, id="id-1")
    assert accept("id-3", "d1") == lifecycle.Accepted(outcome=Accepting.REPLAYED, id="id-1")
    assert accept("id-4", "d2", "g").outcome is Accepting.ACCEPTED


# --- functions that come later ---------------------------------------------------------------


def _come_before_its_function(bench: Bench) -> tuple[Claim, str]:
    bench.raw.lpush(QUEUE, message("early"))
    held = bench.claim_one()
    bench.run(lifecycle.accept(stock("early", "unknown"), b""))
    assert bench.fail(held, "early") is not None
    assert bench.run(dead_letters.redrive("early", max_age_seconds=None))
    return bench.claim_one(), "early"


def stock(invocation_id: str, name: str) -> Invocation:
    return Invocation(
        id=invocation_id,
        function=name,
        payload=b'{"of":"%s"}' % name.encode(),
        trigger="celery",
        timeout_seconds=30,
        retries=0 if name == "unknown" else 4,
        max_age_seconds=None if name == "unknown" else 50,
    )


def test_a_redriven_message_takes_the_name_of_its_function(bench: Bench) -> None:
    held, name = _come_before_its_function(bench)

    for _ in range(2):
        answer = bench.run(lifecycle.accept(stock(name, "later"), b""))
        assert answer.outcome is Accepting.KNOWN
    bench.start(held, name)

    record = bench.record(name)
    assert (record.function, record.payload, record.max_attempts) == (
        "later",
        b'{"of":"later"}',
        5,
    )
    assert bench.raw.hexists(f"eyas:invocation:{name}", "expires_at")
    assert bench.counts("unknown") == {}
    assert bench.counts("later") == {"accepted": 1, "running": 1}
    bench.assert_conserved()


def test_a_name_is_taken_only_by_what_waits_without_one(bench: Bench) -> None:
    held, name = _come_before_its_function(bench)
    bench.run(lifecycle.accept(stock(name, "unknown"), b""))
    assert bench.record(name).function == "unknown"
    assert bench.fail(held, name) is not None
    known = bench.accept()

    for one in (name, known):
        answer = bench.run(lifecycle.accept(stock(one, "later"), b""))
        assert answer.outcome is Accepting.KNOWN

    assert bench.record(name).function == "unknown"
    assert bench.record(known).function == "f"
    assert bench.counts("later") == {}
    bench.assert_conserved()


def test_any_number_of_names_is_counted_under_one(bench: Bench) -> None:
    admission = Admission(
        functions=Registry.of([]),
        store=bench.store,
        settings=Settings.from_environment({}),
        take=lambda _: None,
    )
    for number in range(5):
        invocation = stock(f"id-{number}", f"nowhere_{number}")
        encoded = encode(invocation, None).replace(TRIGGER_HEADER.encode(), b"other")
        bench.raw.lpush(QUEUE, encoded, b'{"headers":{"task":"nothing_%d"}}' % number)
    for held, raw in bench.claim(room=10):
        assert admission.admit(held, raw) is None

    assert bench.raw.smembers("eyas:functions") == {b"unknown"}
    assert bench.raw.keys("eyas:counts:*") == [b"eyas:counts:unknown"]
    assert bench.raw.keys("eyas:dead:*") == [b"eyas:dead:unknown"]
    assert bench.counts("unknown") == {"accepted": 10, "failed": 10}
    page = bench.run(dead_letters.read_page(function="unknown", limit=99))
    errors = b" ".join(letter.error for letter in page.records).decode()
    for number in range(5):
        assert f"'nowhere_{number}'" in errors
        assert f"'nothing_{number}'" in errors
    bench.assert_conserved()


# --- ids that were ---------------------------------------------------------------------------


def test_an_id_is_told_from_one_never_seen_after_its_record(bench: Bench) -> None:
    bench.accept()
    held, name = bench.run_one()
    bench.succeed(held, name)
    bench.raw.delete(f"eyas:invocation:{name}")

    assert isinstance(bench.run(records.read(name, retention=RETENTION)), Gone)
    assert bench.run(records.read("never", retention=RETENTION)) is None
    (seen,) = bench.raw.keys("eyas:seen:*")
    lasts = bench.raw.ttl(seen)
    assert 4000 <= lasts <= 4000 + 86_400


def test_an_invocation_with_a_record_of_every_field_comes_back_whole(bench: Bench) -> None:
    payload = b'{"a":"\\u0000 \xc3\xbc %s %1"}'
    invocation = Invocation(
        id="!~-id",
        function="f",
        payload=payload,
        trigger="http",
        timeout_seconds=1,
        retries=5,
        max_age_seconds=0.5,
        request_id="r\n",
        replay_of="other",
    )
    bench.run(lifecycle.accept(invocation, message(invocation.id)))

    record = bench.record("!~-id")
    assert (record.payload, record.replay_of, record.max_attempts) == (payload, "other", 6)
    expires = bench.raw.hget("eyas:invocation:!~-id", "expires_at")
    assert expires is not None
    assert int(expires) == record.accepted_at_us + 500_000


def test_a_full_broker_is_asked_for_nothing_it_has_not(bench: Bench) -> None:
    def accept(name: str) -> Accepting:
        answer = bench.run(lifecycle.accept(an_invocation(name), message(name), max_open=2))
        assert isinstance(answer, lifecycle.Accepted)
        return answer.outcome

    assert [accept(f"id-{number}") for number in (1, 2, 3)] == [
        Accepting.ACCEPTED,
        Accepting.ACCEPTED,
        Accepting.FULL,
    ]
    assert accept("id-1") is Accepting.KNOWN
    bench.cancel("id-1")
    assert accept("id-3") is Accepting.ACCEPTED
    bench.assert_conserved()
