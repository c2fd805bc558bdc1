"""`GET /metrics`: what it says is what has happened, in a form that Prometheus reads."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from runtime.invocation import Status
from runtime.policy import DeadLetterReason
from runtime.store import Store, claims, lifecycle, metrics, upkeep
from runtime.testing import Stack
from tests.asking import record
from tests.service.conftest import ActingWorker
from tests.store_bench import QUEUE, RETENTION, Bench, message

# What units end with, before `_total`: https://prometheus.io/docs/practices/naming/
BASE_UNITS = ("_seconds", "_bytes", "_ratio")
OTHER_UNITS = re.compile(r"_(ms|milliseconds|us|microseconds|minutes|hours|kb|mb|percent)(_|$)")

PROMTOOL = shutil.which("promtool")

MODULE = """
from runtime import function

@function
def double(number: int) -> int:
    return 2 * number

@function
def idle(event):
    pass

@function(retries=1, backoff=0)
def fail(event):
    raise ValueError("no")
"""


def collect(stack: Stack) -> list[Metric]:
    answer = stack.request("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return list(parse_text(answer.raw.decode()))


def values(stack: Stack) -> dict[str, float]:
    """Every sample, as `name{label="value"}`."""
    return {
        sample.name + (",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in collect(stack)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("functions")
    (folder / "counted.py").write_text(MODULE)
    with Stack(functions_dir=folder) as started:
        started.wait_until_ready()
        yield started


def test_what_runs_is_counted(stack: Stack) -> None:
    stack.reset()
    for number in range(3):
        assert stack.invoke("double", {"number": number}) == 2 * number
    refused = stack.request("/functions/double", body=b'{"number": "x"}', method="POST")
    assert refused.status == 422
    accepted = stack.request("/functions/fail", body=b"{}", method="POST")
    assert record(stack, accepted.body["id"])["status"] == "failed"

    seen = values(stack)

    assert seen["eyas_invocations_accepted_totalfunction=double"] == 3
    assert seen["eyas_invocations_finished_totalfunction=double,status=succeeded"] == 3
    assert seen["eyas_invocations_finished_totalfunction=fail,status=failed"] == 1
    assert seen["eyas_attempts_retried_totalfunction=fail"] == 1
    assert seen["eyas_dead_lettersfunction=fail"] == 1
    assert seen["eyas_dead_lettersfunction=double"] == 0
    # So that the first of them is an increase.
    assert seen["eyas_invocations_recovered_totalfunction=double"] == 0
    assert seen["eyas_invocations_finished_totalfunction=double,status=expired"] == 0
    assert seen["eyas_invocations_accepted_totalfunction=idle"] == 0
    assert seen["eyas_attempts_crashed_totalfunction=idle"] == 0
    # Two attempts of which only the first had been waiting in the queue since it was accepted.
    assert seen["eyas_attempt_duration_seconds_countfunction=fail"] == 2
    assert seen["eyas_queue_wait_seconds_countfunction=fail"] == 1
    assert seen["eyas_queue_wait_seconds_bucketfunction=double,le=+Inf"] == 3
    assert seen["eyas_queue_wait_seconds_sumfunction=double"] > 0
    assert seen["eyas_requests_refused_totalreason=invalid-payload"] >= 1
    assert seen["eyas_invocations_openfunction=double,status=queued"] == 0
    assert seen["eyas_workers"] == 1
    assert seen["eyas_broker_up"] == 1
    assert seen["eyas_functions"] == 3
    assert seen["eyas_failed_modules"] == 0
    assert seen["eyas_oldest_queued_age_seconds"] == 0


def test_it_keeps_to_the_conventions(stack: Stack) -> None:
    stack.invoke("double", {"number": 1})
    families = collect(stack)

    assert len(families) >= 15
    for family in families:
        assert re.fullmatch(r"eyas_[a-z][a-z_]*[a-z]", family.name), family.name
        assert family.documentation.endswith("."), family.name
        assert not OTHER_UNITS.search(family.name), family.name
        # Families are called without it.
        ends = {sample.name.endswith("_total") for sample in family.samples}
        assert ends <= {family.type == "counter"}, family.name
        if family.type == "histogram":
            assert family.name.endswith(BASE_UNITS), family.name
        for sample in family.samples:
            assert all(re.fullmatch("[a-z_]+", label) for label in sample.labels), sample
            assert not {"payload", "id", "invocation_id"} & set(sample.labels), sample
    assert len({family.name for family in families}) == len(families)


@pytest.mark.skipif(PROMTOOL is None, reason="Prometheus is not installed")
def test_prometheus_itself_has_nothing_to_say_about_them(stack: Stack) -> None:
    stack.invoke("double", {"number": 1})

    checked = subprocess.run(
        [str(PROMTOOL), "check", "metrics"],
        input=stack.request("/metrics").raw,
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_all_of_them_are_documented(stack: Stack) -> None:
    page = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
    documented = set(re.findall(r"^\| `(eyas_[a-z_]+)`", page, re.MULTILINE))

    shown = {
        line.split()[2]
        for line in stack.request("/metrics").raw.decode().splitlines()
        if line.startswith("# TYPE") and not line.split()[2].endswith("_created")
    }

    assert documented == shown


def test_openmetrics_is_spoken_to_who_asks_for_it(stack: Stack) -> None:
    headers = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}

    answer = stack.request("/metrics", headers=headers)

    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in parse_openmetrics(answer.raw.decode())}
    assert families["eyas_invocations_accepted"].type == "counter"


def test_a_worker_that_was_killed_is_none(web_stack: Stack) -> None:
    store = Store(web_stack.redis_url)
    store.run(claims.renew("killed", consumes=True))
    store.close()
    assert values(web_stack)["eyas_workers"] == 1

    with redis.Redis.from_url(web_stack.redis_url) as raw:
        raw.zadd("eyas:leases", {"killed": 1})  # as if its last renewal was long ago

    assert web_stack.request("/readyz").status == 503
    assert values(web_stack)["eyas_workers"] == 0


def test_what_waits_is_shown(web_stack: Stack) -> None:
    for _ in range(2):
        web_stack.request("/functions/echo", body=b"1", method="POST")
    web_stack.request("/functions/echo", body=b"1", method="POST", headers={"Eyas-Delay": "500"})

    seen = values(web_stack)

    assert seen["eyas_messagesplace=queue"] == 2
    assert seen["eyas_messagesplace=delayed"] == 1
    assert seen["eyas_invocations_openfunction=echo,status=queued"] == 3
    assert seen["eyas_workers"] == 0
    first = seen["eyas_oldest_queued_age_seconds"]
    assert 0 < first <= values(web_stack)["eyas_oldest_queued_age_seconds"]


def test_a_redriven_one_is_counted_again_and_nothing_goes_down(
    web_stack: Stack, acting_worker: ActingWorker
) -> None:
    web_stack.request("/functions/echo", body=b"1", method="POST")
    ended = acting_worker.give_up(reason=DeadLetterReason.PERMANENT)
    web_stack.request(f"/dead-letters/{ended}/redrive", method="POST")
    between = values(web_stack)
    acting_worker.succeed(1)

    seen = values(web_stack)

    assert between["eyas_invocations_finished_totalfunction=echo,status=failed"] == 1
    assert seen["eyas_invocations_finished_totalfunction=echo,status=failed"] == 1
    assert seen["eyas_invocations_finished_totalfunction=echo,status=succeeded"] == 1
    assert seen["eyas_invocations_accepted_totalfunction=echo"] == 1


def test_a_name_that_somebody_else_chose_does_no_harm(web_stack: Stack) -> None:
    hostile = 'x"} 1\neyas_broker_up 7\n#'
    with redis.Redis.from_url(web_stack.redis_url) as raw:
        raw.sadd("eyas:functions", hostile)
        raw.hset(f"eyas:counts:{hostile}", "accepted", 5)

    seen = values(web_stack)

    assert seen["eyas_broker_up"] == 1
    assert seen[f"eyas_invocations_accepted_totalfunction={hostile}"] == 5


def test_crashes_lapses_and_finds_are_counted(bench: Bench) -> None:
    bench.accept("f")
    held = bench.claim_one()
    bench.start(held, "id-1")
    bench.run(claims.renew("w1", consumes=True))
    bench.raw.zadd("eyas:leases", {"w1": 1})
    bench.run(claims.sweep(gap_seconds=1e6))
    lost = bench.accept("g")
    bench.raw.lrem(QUEUE, 1, bench.raw.lindex(QUEUE, 0))
    found = bench.run(upkeep.find_suspects(older_than_seconds=0, limit=10)).suspects
    (suspect,) = [one for one in found if one.id == lost]
    assert bench.run(upkeep.put_back(suspect, message(lost)))

    measured = bench.run(metrics.read())

    assert measured.crashed == {"f": 1}
    assert measured.recovered == {"g": 1}
    assert (measured.lease_renewals, measured.leases_lapsed, measured.given_back) == (1, 1, 1)


def test_times_go_into_the_right_buckets(bench: Bench) -> None:
    bench.accept("f")
    held = bench.claim_one()
    ran = (0.02, 0.0)
    bench.run(
        lifecycle.finish_all(
            [
                lifecycle.Finish(
                    held=held,
                    id="id-1",
                    status=Status.SUCCEEDED,
                    celery_result=b"{}",
                    result=b"1",
                    ran=ran,
                )
            ],
            retention=RETENTION,
        )
    )

    run = bench.run(metrics.read()).run_seconds["f"]

    at = run.limits_seconds.index(0.025)
    assert run.counts[at] == 1 == sum(run.counts)
    assert run.sum_seconds == pytest.approx(0.02)
    assert len(run.counts) == len(run.limits_seconds) + 1
    assert list(run.limits_seconds) == sorted(run.limits_seconds)


def test_it_answers_while_the_broker_is_away(tmp_path: Path) -> None:
    (tmp_path / "counted.py").write_text(MODULE)
    with Stack(functions_dir=tmp_path, processes=("web",)) as alone:
        alone.wait_for(lambda: alone.request("/healthz").status == 200, "web")
        assert alone.request("/functions/fail", body=b"1", method="POST").status == 503

        seen = values(alone)

    assert seen["eyas_broker_up"] == 0
    assert seen["eyas_requests_refused_totalreason=broker-unavailable"] == 1
    assert "eyas_workers" not in seen
