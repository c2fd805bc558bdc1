"""The worker's transport, seen from stock Celery programs."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery
import kombu
import pytest
import redis

from runtime.invocation import Invocation, Status
from runtime.message import QUEUE, id_in
from runtime.settings import Retention
from runtime.store import Store, claims, is_reachable, lifecycle
from runtime.testing import Stack
from runtime.worker import transport
from tests.processes import is_alive

SAMPLE_FUNCTIONS = Path(__file__).parent.parent / "sample_functions"


@pytest.fixture
def client(sample_stack: Stack) -> Iterator[celery.Celery]:
    app = celery.Celery(broker=sample_stack.redis_url, backend=sample_stack.redis_url)
    yield app
    app.close()
    app.backend.result_consumer.stop()


@pytest.fixture
def tasks(client: celery.Celery) -> dict[str, Any]:
    """The functions as a stock program declares them; their bodies are never run."""

    def declare(name: str) -> Any:
        @client.task(name=name, shared=False)
        def task(*_: Any, **__: Any) -> None:
            raise AssertionError("runs in the worker only")

        return task

    return {name: declare(name) for name in ("nested", "fail", "sleep")}


def test_the_installed_kombu_is_the_tested_one() -> None:
    transport.check_version(kombu.__version__)


@pytest.mark.parametrize("version", ["5.6.2", "5.8.0", "6.0.0rc1"])
def test_another_kombu_is_refused_by_name(version: str) -> None:
    with pytest.raises(transport.UntestedKombuError, match=rf"kombu {version} .* tested with 5.7"):
        transport.check_version(version)


def test_what_the_transport_replaces_is_still_there() -> None:
    from kombu.transport import redis as stock  # noqa: PLC0415  as the worker imports it

    for owner, names in [
        (stock.Channel, ["_brpop_start", "_brpop_read", "_poll_error", "_q_for_pri"]),
        (
            stock.Channel,
            [
                "_flush_brpop_reauth",
                "_deliver_fanout_message",
                "active_queues",
                "priority_steps",
                "sep",
            ],
        ),
        (stock.QoS, ["append", "ack", "reject", "restore_unacked", "restore_visible"]),
        (stock.QoS, ["can_consume_max_estimate"]),
        (stock.Transport, ["brpop_timeout", "_deliver"]),
        (stock.MultiChannelPoller, ["_unregister_from_poll"]),
    ]:
        assert [name for name in names if not hasattr(owner, name)] == []


def test_urgent_and_less_urgent_messages_are_run(client: celery.Celery) -> None:
    results = [
        client.send_task("nested", args=[priority], priority=priority) for priority in range(10)
    ]

    assert [one.get(timeout=20) for one in results] == list(range(10))


def test_a_queue_can_be_added_and_taken_away(client: celery.Celery) -> None:
    client.control.add_consumer("other", reply=True, timeout=5)

    result = client.send_task("nested", args=["there"], queue="other")
    assert result.get(timeout=20) == "there"
    client.control.cancel_consumer("other", reply=True, timeout=5)
    assert client.send_task("nested", args=["here"]).get(timeout=20) == "here"


def test_a_burst_leaves_nothing_behind(client: celery.Celery, sample_stack: Stack) -> None:
    results = [client.send_task("nested", args=[number]) for number in range(300)]

    assert [one.get(timeout=60) for one in results] == list(range(300))
    with redis.Redis.from_url(sample_stack.redis_url) as connection:
        sample_stack.wait_for(
            lambda: not [*connection.scan_iter("eyas:in_flight:*")], "nothing to be held"
        )
        assert connection.llen("celery") == 0
        assert connection.zcard("eyas:open") == 0


def test_inspection_tells_what_the_worker_does(
    client: celery.Celery, sample_stack: Stack, tmp_path: Path
) -> None:
    marker = tmp_path / "starts"
    running = client.send_task("sleep", args=[4], kwargs={"marker": str(marker)})
    later = client.send_task("nested", args=[1], countdown=30)
    sample_stack.wait_for(marker.exists, "the attempt")
    inspect = client.control.inspect(timeout=5, limit=1)

    def only(answers: Any) -> Any:
        (answer,) = answers.values()
        return answer

    assert only(inspect.ping()) == {"ok": "pong"}
    assert "sleep" in only(inspect.registered())
    sample_stack.wait_for(
        lambda: running.id in [request["id"] for request in only(inspect.active())], "activity"
    )
    assert running.id in only(inspect.query_task(running.id))
    assert only(inspect.reserved()) is not None
    assert only(inspect.stats())["pool"]["max-concurrency"] == 2
    sample_stack.wait_for(
        lambda: later.id in [s["request"]["id"] for s in only(inspect.scheduled())], "the countdown"
    )
    assert "celery" in [queue["name"] for queue in only(inspect.active_queues())]
    later.revoke()
    assert running.get(timeout=20) == "slept"


def test_a_running_task_is_terminated(
    client: celery.Celery, sample_stack: Stack, tmp_path: Path
) -> None:
    marker = tmp_path / "starts"
    result = client.send_task("sleep", args=[600], kwargs={"marker": str(marker)})
    sample_stack.wait_for(marker.exists, "the attempt")

    client.control.revoke(result.id, terminate=True, signal="KILL", reply=True, timeout=5)

    with pytest.raises(celery.exceptions.TaskRevokedError):
        result.get(timeout=20)
    assert sample_stack.request(f"/invocations/{result.id}").body["status"] == "cancelled"


def test_an_expired_task_is_not_run(client: celery.Celery, sample_stack: Stack) -> None:
    result = client.send_task("nested", args=[1], countdown=1.5, expires=1)

    with pytest.raises(celery.exceptions.TaskRevokedError):
        result.get(timeout=20)
    record = sample_stack.request(f"/invocations/{result.id}").body
    assert (record["status"], record["dead_letter"]) == ("expired", "Expired")


def test_the_canvas_of_a_stock_program_runs(tasks: dict[str, Any], client: celery.Celery) -> None:
    nested = tasks["nested"]

    def value(signature: Any) -> Any:
        return signature.apply_async().get(timeout=30)

    assert value(nested.s(1) | nested.s() | nested.s()) == 1
    assert value(nested.si(1) | nested.si(2)) == 2
    assert value(celery.group(nested.s(n) for n in range(5))) == [0, 1, 2, 3, 4]
    assert value(celery.chord([nested.s(n) for n in range(5)], nested.s())) == [0, 1, 2, 3, 4]
    assert value(nested.s(7) | celery.group(nested.s(), nested.s())) == [7, 7]
    assert value(nested.s(7) | celery.group(nested.s(), nested.s()) | nested.s()) == [7, 7]
    assert value(nested.map([1, 2, 3])) == [1, 2, 3]
    assert value(nested.starmap([(1,), (2,)])) == [1, 2]
    chunks = nested.chunks([(n,) for n in range(4)], 2).apply_async()
    assert chunks.get(timeout=30) == [[0, 1], [2, 3]]


def test_callbacks_of_success_and_failure_run(
    tasks: dict[str, Any], sample_stack: Stack, tmp_path: Path
) -> None:
    marker = tmp_path / "starts"
    callback = tasks["sleep"].si(0, marker=str(marker))

    tasks["nested"].apply_async(args=[1], link=callback).get(timeout=20)
    sample_stack.wait_for(marker.exists, "the callback")
    marker.unlink()
    failed = tasks["fail"].apply_async(link_error=callback)
    with pytest.raises(Exception, match="order 7"):
        failed.get(timeout=20)
    sample_stack.wait_for(marker.exists, "the errback")


def test_a_failed_member_fails_its_chord(tasks: dict[str, Any]) -> None:
    header = [tasks["nested"].s(1), tasks["fail"].s()]

    with pytest.raises(Exception, match=r"order 7|ChordError"):
        celery.chord(header, tasks["nested"].s()).apply_async().get(timeout=30)


def test_a_header_of_a_producers_own_does_no_harm(client: celery.Celery) -> None:
    result = client.send_task("nested", args=[1], headers={"trigger": "cron"})

    assert result.get(timeout=20) == 1


@pytest.mark.parametrize("how", ["delete", "revoke", "max_age"])
def test_a_chord_hears_of_a_member_that_never_runs(
    tasks: dict[str, Any], client: celery.Celery, sample_stack: Stack, how: str
) -> None:
    @client.task(name="perishable", shared=False)
    def perishable() -> None:
        raise AssertionError("runs in the worker only")

    late = perishable.si() if how == "max_age" else tasks["nested"].s(2)
    seconds = 1.5 if how == "max_age" else 60
    header = [tasks["nested"].s(1), late.set(countdown=seconds, task_id=f"late-{how}")]
    body = celery.chord(header, tasks["nested"].s()).apply_async()
    if how != "max_age":
        sample_stack.wait_for(
            lambda: sample_stack.request(f"/invocations/late-{how}").status == 200, "the record"
        )
    if how == "delete":
        assert sample_stack.request("/invocations/late-delete", method="DELETE").status == 202
    elif how == "revoke":
        client.control.revoke("late-revoke", reply=True, timeout=5, limit=1)

    with pytest.raises(Exception, match=r"ChordError|revoked|Dependency|cancelled|expired"):
        body.get(timeout=20)


def test_a_chord_hears_of_a_member_whose_process_died_before_it_said_so(tmp_path: Path) -> None:
    with Stack(functions_dir=SAMPLE_FUNCTIONS, processes=("broker", "web")) as stack:
        app = celery.Celery(broker=stack.redis_url, backend=stack.redis_url)

        @app.task(name="nested", shared=False)
        def nested(_: Any) -> None:
            raise AssertionError("runs in the worker only")

        stack.wait_for(lambda: is_reachable(stack.redis_url), "the broker")
        body = celery.chord([nested.s(1), nested.s(2)], nested.s()).apply_async()
        store = Store(stack.redis_url)
        ((held, message),) = store.run(claims.claim("dying", queues=[QUEUE], room=1)).messages
        member = id_in(message) or ""
        stock = Invocation(
            id=member, function="nested", payload=b"1", trigger="celery", timeout_seconds=9
        )
        store.run(lifecycle.accept(stock, b""))
        store.run(lifecycle.start(held, member, concurrency=None, max_deliveries=5))
        outcome = {"status": "SUCCESS", "result": 1, "traceback": None, "children": []}
        store.run(
            lifecycle.finish(
                held,
                member,
                status=Status.SUCCEEDED,
                result=b"1",
                celery_result=json.dumps(outcome | {"task_id": member}).encode(),
                retention=Retention(record_seconds=60, dead_letter_seconds=60, id_seconds=60),
                keeps_claim=True,
            )
        )
        for name in ("scheduler", "worker"):
            stack.start(name)

        assert sorted(body.get(timeout=30)) == [1, 2]
        assert stack.request(f"/invocations/{member}").body["attempt"] == 1
        app.close()
        app.backend.result_consumer.stop()


def test_a_dead_letter_that_came_too_late_is_redriven(
    client: celery.Celery, sample_stack: Stack
) -> None:
    result = client.send_task("nested", args=[1], countdown=1, expires=0.5)
    path = f"/invocations/{result.id}"
    sample_stack.wait_for(
        lambda: sample_stack.request(path).body.get("status") == "expired", "its end"
    )

    assert sample_stack.request(f"/dead-letters/{result.id}/redrive", method="POST").status == 202

    record = sample_stack.request(path, headers={"Prefer": "wait=20"}).body
    assert (record["status"], record["result"]) == ("succeeded", 1)


def test_garbage_on_the_control_channel_does_not_stop_a_worker(
    client: celery.Celery, sample_stack: Stack
) -> None:
    worker = sample_stack.running["worker"].pid
    sound = {
        "body": "{}",
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {},
        "properties": {"delivery_tag": "1", "delivery_info": {"exchange": "", "routing_key": ""}},
    }
    garbage = [
        b"",
        b"no JSON",
        b"[]",
        b"{}",
        json.dumps(sound).encode(),
        json.dumps(sound | {"properties": 1}).encode(),
        json.dumps(sound | {"properties": sound["properties"] | {"body_encoding": "x"}}).encode(),
        json.dumps(sound | {"body": "[1]"}).encode(),
        json.dumps(sound | {"body": '{"method": "nothing"}'}).encode(),
        json.dumps(sound | {"body": '{"method": "ping", "arguments": {"a": 1}}'}).encode(),
        json.dumps(sound | {"body": '{"method": "ping", "reply_to": {"exchange": 1}}'}).encode(),
    ]
    with redis.Redis.from_url(sample_stack.redis_url) as connection:
        for one in garbage:
            connection.publish("/0.celery.pidbox", one)
            assert client.send_task("nested", args=[1]).get(timeout=20) == 1
    assert sample_stack.running["worker"].poll() is None
    assert sample_stack.running["worker"].pid == worker
    log = (sample_stack.log_dir / "worker.log").read_text(encoding="utf-8")
    assert "worker.restarting" not in log
    assert client.control.ping(timeout=5, limit=1)


def test_a_worker_that_hangs_loses_its_lease_and_its_late_outcome(tmp_path: Path) -> None:
    marker = tmp_path / "starts"
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment={"EYAS_WORKERS": "1"}) as stack:
        body = json.dumps({"seconds": 6, "marker": str(marker)}).encode()
        accepted = stack.request("/functions/sleep", body=body).body
        stack.wait_for(lambda: marker.exists() and bool(marker.read_text()), "the attempt")
        hung = stack.running["worker"]
        # Its pool process goes on, and is the one that comes too late.
        os.kill(hung.pid, signal.SIGSTOP)
        try:
            stack.start("worker", instance="other")
            stack.wait_for(lambda: len(marker.read_text().split()) == 2, "a second attempt")
            record = stack.request(
                f"/invocations/{accepted['id']}", headers={"Prefer": "wait=30"}
            ).body
        finally:
            os.kill(hung.pid, signal.SIGCONT)

        assert (record["status"], record["attempt"]) == ("succeeded", 2)
        assert record["run_ms"] > 5_900
        assert stack.invoke("nested", {"a": 1}) == {"a": 1}
        assert len(marker.read_text().split()) == 2


def test_what_a_hung_worker_runs_is_stopped_when_it_wakes(tmp_path: Path) -> None:
    marker = tmp_path / "starts"
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment={"EYAS_WORKERS": "1"}) as stack:
        body = json.dumps({"seconds": 12, "marker": str(marker)}).encode()
        stack.request("/functions/sleep", body=body)
        stack.wait_for(lambda: marker.exists() and bool(marker.read_text()), "the attempt")
        first = int(marker.read_text())
        hung = stack.running["worker"]
        os.kill(hung.pid, signal.SIGSTOP)
        stack.start("worker", instance="other")
        stack.wait_for(lambda: len(marker.read_text().split()) == 2, "a second attempt")

        os.kill(hung.pid, signal.SIGCONT)

        stack.wait_for(lambda: not is_alive(first), "the first attempt to be stopped")
        log = stack.log_dir / "worker.log"
        stack.wait_for(lambda: "attempt.lost" in log.read_text(encoding="utf-8"), "its log line")
        assert hung.poll() is None
