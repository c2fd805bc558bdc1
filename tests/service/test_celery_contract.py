"""Programs that know Celery and nothing of Eyas, and our message beside Celery's own."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery
import pytest
import redis

from runtime import message
from runtime.function import function
from runtime.invocation import Invocation
from runtime.testing import Stack


@pytest.fixture
def client(sample_stack: Stack) -> Iterator[celery.Celery]:
    app = celery.Celery(broker=sample_stack.redis_url, backend=sample_stack.redis_url)
    app.set_default()
    yield app
    app.close()
    app.backend.result_consumer.stop()


@pytest.fixture
def fib_client(eyas_stack: Stack) -> Iterator[celery.Celery]:
    app = celery.Celery(broker=eyas_stack.redis_url, backend=eyas_stack.redis_url)
    yield app
    app.close()
    app.backend.result_consumer.stop()


def test_a_stock_producer_gets_its_result(fib_client: celery.Celery, eyas_stack: Stack) -> None:
    result = fib_client.send_task("fib", kwargs={"number": 5})

    assert result.get(timeout=20) == [0, 1, 1, 2, 3, 5]
    record = eyas_stack.request(f"/invocations/{result.id}").body
    assert (record["status"], record["trigger"]) == ("succeeded", "celery")
    assert record["payload"] == {"number": 5}
    assert record["result"] == [0, 1, 1, 2, 3, 5]


def test_positional_arguments_are_the_parameters_in_order(
    fib_client: celery.Celery, eyas_stack: Stack
) -> None:
    result = fib_client.send_task("fib", args=[3], kwargs={"last_only": True})

    assert result.get(timeout=20) == [2]
    record = eyas_stack.request(f"/invocations/{result.id}").body
    assert record["payload"] == {"number": 3, "last_only": True}


@pytest.mark.parametrize("arguments", [{"args": [{"a": 1}]}, {"kwargs": {"event": {"a": 1}}}])
def test_an_event_handler_takes_its_event(
    fib_client: celery.Celery, arguments: dict[str, Any]
) -> None:
    assert fib_client.send_task("echo", **arguments).get(timeout=20) == {"a": 1}


@pytest.mark.parametrize(
    "arguments",
    [{"kwargs": {"number": "x"}}, {"args": [1, 2, 3, 4]}, {"args": [1], "kwargs": {"number": 1}}],
)
def test_a_bad_payload_fails_the_task_without_running_it(
    fib_client: celery.Celery, eyas_stack: Stack, arguments: dict[str, Any]
) -> None:
    result = fib_client.send_task("fib", **arguments)

    with pytest.raises(Exception, match="does not fit function 'fib'"):
        result.get(timeout=20)
    record = eyas_stack.request(f"/invocations/{result.id}").body
    assert (record["status"], record["error"]["type"]) == ("failed", "InvalidPayload")


def test_a_stock_client_reads_a_result_that_http_caused(
    fib_client: celery.Celery, eyas_stack: Stack
) -> None:
    accepted = eyas_stack.request("/functions/fib", body=b'{"number": 4}').body

    assert fib_client.AsyncResult(accepted["id"]).get(timeout=20) == [0, 1, 1, 2, 3]


def test_a_function_error_is_celerys_failure(client: celery.Celery, sample_stack: Stack) -> None:
    result = client.send_task("fail", kwargs={"message": "sold out"})

    with pytest.raises(Exception, match="order 7: sold out"):
        result.get(timeout=20)
    assert result.state == "FAILURE"
    assert "in _raise" in result.traceback
    record = sample_stack.request(f"/invocations/{result.id}").body
    assert record["error"]["type"] == "OrderError"


def test_chains_groups_and_chords_work(fib_client: celery.Celery) -> None:
    echo = fib_client.signature("echo", args=[1])
    chain = echo | fib_client.signature("fib") | fib_client.signature("echo")
    assert chain.apply_async().get(timeout=20) == [0, 1]

    header = [fib_client.signature("fib", args=[n], app=fib_client) for n in (1, 2)]
    group = celery.group(header, app=fib_client).apply_async()
    assert group.get(timeout=20) == [[0, 1], [0, 1, 1]]

    chord = celery.chord(header, fib_client.signature("echo"), app=fib_client)
    assert chord.apply_async().get(timeout=20) == [[0, 1], [0, 1, 1]]


def test_a_countdown_is_kept(fib_client: celery.Celery) -> None:
    result = fib_client.send_task("fib", args=[1], countdown=1)
    assert result.get(timeout=20) == [0, 1]


def test_a_revoked_task_is_cancelled(client: celery.Celery, sample_stack: Stack) -> None:
    late = client.send_task("sleep", args=[0], countdown=3)
    sample_stack.wait_for(
        lambda: late.id in str(client.control.inspect(timeout=1).scheduled()), "it to be scheduled"
    )
    late.revoke()

    with pytest.raises(celery.exceptions.TaskRevokedError):
        late.get(timeout=20)


def test_an_outcome_is_recorded_even_if_the_producer_does_not_want_it(
    client: celery.Celery, sample_stack: Stack
) -> None:
    ids = [
        client.send_task("nested", args=[1], ignore_result=True).id,
        client.send_task("fail", ignore_result=True).id,
    ]

    def statuses() -> list[str]:
        return [sample_stack.request(f"/invocations/{i}").body.get("status") for i in ids]

    sample_stack.wait_for(lambda: statuses() == ["succeeded", "failed"], "both records")


@pytest.mark.parametrize(
    "change",
    [
        {"headers": {"task": "nested"}},
        {"headers": {"task": "nested", "id": ["a"]}},
        {"headers": {"task": "nested", "id": "a", "timelimit": "x"}},
        {"body": "[[" + "[" * 800 + "]" * 800 + "], {}, {}]"},
    ],
)
def test_a_malformed_message_does_not_stop_the_others(
    sample_stack: Stack, change: dict[str, Any]
) -> None:
    sound = {
        "body": "[[1], {}, {}]",
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "nested", "id": "0f2d0d3e-0000-4000-8000-000000000000"},
        "properties": {
            "delivery_tag": str(uuid.uuid4()),
            "delivery_info": {"exchange": "", "routing_key": "celery"},
        },
    }
    with redis.Redis.from_url(sample_stack.redis_url) as connection:
        connection.lpush("celery", json.dumps(sound | change))

        assert sample_stack.invoke("nested", {"after": 1}) == {"after": 1}
        sample_stack.wait_for(lambda: connection.hlen("unacked") == 0, "nothing to be held")
    assert sample_stack.running["worker"].poll() is None


def test_an_unknown_task_fails_and_its_payload_stays_out_of_the_logs(
    client: celery.Celery, sample_stack: Stack
) -> None:
    result = client.send_task("nowhere", kwargs={"password": "battery-staple"})

    with pytest.raises(celery.exceptions.NotRegistered):
        result.get(timeout=20)
    record = sample_stack.request(f"/invocations/{result.id}").body
    assert (record["status"], record["error"]["type"]) == ("failed", "UnknownFunction")

    def log() -> str:
        return (sample_stack.log_dir / "worker.log").read_text(encoding="utf-8")

    sample_stack.wait_for(lambda: "message.unknown_function" in log(), "the log line")
    assert "battery-staple" not in log()


@function(name="by_name", timeout=30)
def by_name(number: int, word: str = "") -> int:
    return number


@function(name="by-event", timeout=300)
def by_event(event: Any) -> Any:
    return event


@pytest.mark.parametrize(
    ("invoked", "payload", "options"),
    [
        (by_name, {"number": 5}, {}),
        (by_name, {"number": 5, "word": 'ü "quoted" \\ 100% %b \n'}, {}),
        (by_name, {}, {"ignore_result": False}),
        (by_event, {"nested": [1, {"id": "no"}]}, {"priority": 0}),
        (by_event, ["x" * 1000], {"expires": None, "countdown": None}),
        (by_name, {"number": 7}, {"time_limit": 12.5}),
        (by_name, {"number": 7}, {"time_limit": None}),
        (by_name, {"number": 7}, {"headers": {"traceparent": "00-ab-cd-01"}}),
    ],
)
def test_our_message_is_what_celery_publishes(
    broker: Stack, invoked: Any, payload: Any, options: dict[str, Any]
) -> None:
    invocation_id = "11111111-1111-4111-8111-111111111111"
    limit = options.get("time_limit", invoked.timeout_seconds)
    app = celery.Celery(broker=broker.redis_url)
    app.conf.broker_transport_options = {"body_encoding": "utf-8"}
    app.send_task(
        invoked.name,
        kwargs={"event": payload} if invoked is by_event else payload,
        task_id=invocation_id,
        queue="not-consumed",
        **{"time_limit": limit, **options},
    )
    with redis.Redis.from_url(broker.redis_url) as connection:
        published = json.loads(connection.rpop("not-consumed"))
    app.close()
    trace_parent = options.get("headers", {}).get("traceparent")
    invocation = Invocation(
        id=invocation_id,
        function=invoked.name,
        payload=json.dumps(payload).encode(),
        trigger="http",
        timeout_seconds=limit or 0,
        trace_parent=trace_parent,
        request_id='r"1',
    )
    encoded = message.encode(invocation, invoked.payload)
    ours = json.loads(encoded)

    assert json.loads(ours["body"]) == json.loads(published["body"])
    assert ours.keys() == published.keys()
    # Ours: that there is a record; and for the log of the attempt.
    assert ours["headers"].pop("eyas_trigger") == "http"
    assert ours["headers"].pop("request_id") == 'r"1'
    assert ours["headers"].pop("traceparent") == trace_parent
    published["headers"].pop("traceparent", None)
    # JSON instead of Python's spelling; not more of it than is good for a log.
    shown = ours["headers"].pop("kwargsrepr")
    assert shown.removesuffix("...") in ours["body"]
    assert len(shown) <= 203
    published["headers"].pop("kwargsrepr")
    # Celery has `ignore_result` of the task's own; we always want the result.
    assert not ours["headers"].pop("ignore_result")
    published["headers"].pop("ignore_result")
    for each in (ours, published):
        assert "@" in each["headers"].pop("origin")
        assert len(each["properties"].pop("delivery_tag")) == 36
        each["properties"].pop("reply_to")
        each["properties"]["delivery_info"].pop("routing_key")
        each["properties"].pop("body_encoding", None)
    assert ours["headers"] == published["headers"]
    assert ours["properties"] == published["properties"]
    assert ours["content-type"] == published["content-type"]
    assert ours["content-encoding"] == published["content-encoding"]


@pytest.mark.parametrize("deliveries", [0, 1, 25])
def test_our_messages_are_known_by_their_beginning(broker: Stack, deliveries: int) -> None:
    invocation = Invocation(
        id="an-id", function="by-event", payload=b"[]", trigger="http", timeout_seconds=30.0
    )
    encoded = message.encode(invocation, by_event.payload)
    assert encoded.startswith(b'{"headers":{"eyas_trigger":"http","task":"by-event","id":"an-id",')
    if deliveries:
        encoded = b'{"deliveries":%d,' % deliveries + encoded[1:]

    found = message.OURS.match(encoded)

    assert found is not None
    assert found.groupdict() == {
        "deliveries": str(deliveries).encode() if deliveries else None,
        "trigger": b"http",
        "task": b"by-event",
        "id": b"an-id",
    }
    assert message.OURS.match(b'{"body":"","headers":{"eyas_trigger":"http"}}') is None


def test_a_task_that_came_before_its_function_runs_when_it_is_redriven(tmp_path: Path) -> None:
    with Stack(functions_dir=tmp_path, environment={"EYAS_WORKERS": "1"}) as stack:
        app = celery.Celery(broker=stack.redis_url, backend=stack.redis_url)
        early = app.send_task("later", args=[3])
        path = f"/invocations/{early.id}"
        stack.wait_for(lambda: stack.request(path).body.get("status") == "failed", "its failure")
        (tmp_path / "later.py").write_text(
            "from runtime import function\n\n@function\ndef later(number: int) -> int:\n"
            "    return number + 1\n",
            encoding="utf-8",
        )
        for name in ("web", "worker"):
            stack.stop(name)
            stack.start(name)
        stack.wait_until_ready()

        assert stack.request(f"/dead-letters/{early.id}/redrive", method="POST").status == 202

        record = stack.request(path, headers={"Prefer": "wait=30"}).body
        assert (record["status"], record["result"]) == ("succeeded", 4)
        app.close()


def test_a_function_can_have_the_name_that_producers_send(tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    folder.mkdir()
    (folder / "tasks.py").write_text(
        "from runtime import function\n\n\n"
        '@function(name="shop.tasks.total")\n'
        "def total(prices: list[int]) -> int:\n    return sum(prices)\n"
    )
    with Stack(functions_dir=folder) as stack:
        app = celery.Celery(broker=stack.redis_url, backend=stack.redis_url, set_as_current=False)
        result = app.send_task("shop.tasks.total", args=[[1, 2, 3]])
        assert result.get(timeout=30) == 6
        assert stack.invoke("shop.tasks.total", {"prices": [4]}) == 4
        app.close()
        app.backend.result_consumer.stop()
        assert stack.request("/functions/shop.tasks.total").body["counts"]["succeeded"] == 2
