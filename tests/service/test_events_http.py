"""`POST /events` and CloudEvents on functions' own routes, on a real stack."""

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent as SDKEvent

from runtime.testing import Stack
from runtime.testing.stack import Response
from tests.asking import assert_conserved, ended, logged, record

MODULE = '''
from typing import Any

from msgspec import Struct

from runtime import function


class Order(Struct):
    number: int


class Ordered(Struct):
    id: str
    data: Order


@function(on="org.ordered")
def picky(event: Ordered) -> list[Any]:
    return [event.id, event.data.number]


@function(on="com.example.created")
def whole(event: Any) -> Any:
    """Return the event."""
    return event


@function(on=("com.example.created", "com.example.changed"))
async def doubled(number: int) -> int:
    return number * 2


@function(on="com.example.*")
def loud(event: Any) -> str:
    return event["type"].upper()


@function(on="dev.eyas.invocation.*")
def told(event: Any) -> Any:
    return [event["subject"], event["data"]["result"]]


@function
def unsubscribed(number: int = 0) -> int:
    return number
'''
CREATED = {
    "specversion": "1.0",
    "id": "A-1",
    "source": "/shop/1",
    "type": "com.example.created",
    "datacontenttype": "application/json",
}
STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
SUBSCRIBED = ("doubled", "loud", "whole")


@pytest.fixture(scope="module")
def _stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("events") / "subscribed"
    folder.mkdir()
    (folder / "all.py").write_text(MODULE)
    environment = {
        "EYAS_WORKERS": "1",
        "EYAS_MAX_PAYLOAD_BYTES": "20000",
        "EYAS_MAX_WAITED_PAYLOAD_BYTES": "40000",
        "EYAS_ALLOWED_ORIGINS": "https://app.example",
        "EYAS_CALLBACK_SECRET": "0123456789abcdef0123456789abcdef",
        "EYAS_CALLBACK_HOSTS": "127.0.0.1",
    }
    with Stack(functions_dir=folder, environment=environment) as stack:
        yield stack


@pytest.fixture
def stack(_stack: Stack) -> Stack:
    _stack.reset()
    return _stack


def post(
    stack: Stack, body: bytes, content_type: str, *, path: str = "/events", **headers: str
) -> Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return stack.request(
        path, body=body, headers={"Content-Type": content_type} | sent, method="POST"
    )


def binary(stack: Stack, data: Any, *, path: str = "/events", **attributes: str) -> Response:
    others = {k: v for k, v in (CREATED | attributes).items() if k != "datacontenttype"}
    headers = {f"ce-{name}": value for name, value in others.items()}
    return post(stack, json.dumps(data).encode(), "application/json", path=path, **headers)


def structured(stack: Stack, data: Any, *, path: str = "/events", **attributes: Any) -> Response:
    event = CREATED | attributes | {"data": data}
    return post(stack, json.dumps(event).encode(), STRUCTURED, path=path)


def batched(stack: Stack, *events: Any, path: str = "/events") -> Response:
    return post(stack, json.dumps(events).encode(), BATCHED, path=path)


def event(number: int, **attributes: Any) -> dict[str, Any]:
    return CREATED | {"id": f"B-{number}", "data": {"number": number}} | attributes


def accepted(stack: Stack) -> dict[str, int]:
    names = (*SUBSCRIBED, "unsubscribed")
    return {name: stack.request(f"/functions/{name}").body["counts"]["accepted"] for name in names}


NOTHING = dict.fromkeys((*SUBSCRIBED, "unsubscribed"), 0)


@pytest.mark.parametrize("mode", ["binary", "structured", "batched"])
def test_an_event_invokes_every_subscriber_whichever_mode_it_comes_in(
    stack: Stack, mode: str
) -> None:
    data = {"number": 21}
    if mode == "binary":
        answer = binary(stack, data)
    elif mode == "structured":
        answer = structured(stack, data)
    else:
        answer = batched(stack, CREATED | {"data": data})

    assert answer.status == 202
    invocations = answer.body["invocations"]
    assert [(one["event_id"], one["function"]) for one in invocations] == [
        ("A-1", name) for name in SUBSCRIBED
    ]
    assert "idempotent-replayed" not in answer.headers
    records = [record(stack, one["id"]) for one in invocations]
    event = CREATED | {"data": data}
    assert [one["payload"] for one in records] == [data, event, event]
    assert [one["result"] for one in records] == [42, "COM.EXAMPLE.CREATED", event]
    assert {one["trigger"] for one in records} == {"event"}
    assert accepted(stack) == dict.fromkeys(SUBSCRIBED, 1) | {"unsubscribed": 0}


def test_types_and_prefixes_choose_the_subscribers(stack: Stack) -> None:
    def functions(event_type: str) -> list[str]:
        answer = structured(stack, {"number": 1}, type=event_type, id=event_type)
        assert answer.status == 202
        return [one["function"] for one in answer.body["invocations"]]

    assert functions("com.example.changed") == ["doubled", "loud"]
    assert functions("com.example.") == ["loud"]
    assert functions("com.example") == []
    assert functions("COM.example.created") == []


def test_the_official_sdk_is_understood(stack: Stack) -> None:
    attributes = {
        "type": "com.example.created",
        "source": "urn:x:Euro \u20ac 100%",
        "id": '"quoted" \U0001f600',
        "datacontenttype": "application/json",
    }
    sent = SDKEvent(dict(attributes), {"number": 4})
    answers = [
        stack.request("/events", body=message.body, headers=dict(message.headers))
        for message in (to_binary_event(sent), to_structured_event(sent))
    ]

    assert {answer.status for answer in answers} == {202}
    assert answers[0].body == answers[1].body
    seen = stack.request(f"/invocations/{answers[0].body['invocations'][2]['id']}").body["payload"]
    del seen["time"], seen["specversion"]
    assert seen == attributes | {"data": {"number": 4}}


def test_duplicates_get_the_same_answer_and_run_once(stack: Stack) -> None:
    first = binary(stack, {"number": 1})
    again = [
        binary(stack, {"number": 1}),
        structured(stack, {"number": 2}),  # source and id decide, nothing else does
        batched(stack, CREATED | {"data": {"number": 1}}),
    ]

    assert {answer.status for answer in again} == {202}
    assert all(answer.body == first.body for answer in again)
    assert {answer.headers["idempotent-replayed"] for answer in again} == {"true"}
    ended(stack, [one["id"] for one in first.body["invocations"]])
    assert binary(stack, {"number": 1}).body == first.body
    assert accepted(stack) == dict.fromkeys(SUBSCRIBED, 1) | {"unsubscribed": 0}
    assert binary(stack, {"number": 1}, source="/shop/2").body != first.body


def test_racing_duplicates_run_once(stack: Stack) -> None:
    for attempt in range(5):
        with ThreadPoolExecutor(12) as pool:
            answers = list(
                pool.map(
                    lambda n, attempt=attempt: (binary, structured)[n % 2](
                        stack, {"number": n}, id=f"race-{attempt}"
                    ),
                    range(12),
                )
            )
        assert {answer.status for answer in answers} == {202}
        assert len({answer.raw for answer in answers}) == 1
    assert accepted(stack) == dict.fromkeys(SUBSCRIBED, 5) | {"unsubscribed": 0}


def test_a_duplicate_in_its_own_batch_is_one(stack: Stack) -> None:
    answer = batched(stack, event(1), event(2), event(1))
    ids = [one["id"] for one in answer.body["invocations"]]

    assert len(ids) == 9
    assert ids[:3] == ids[6:]
    assert len(set(ids)) == 6
    assert "idempotent-replayed" not in answer.headers


def test_a_large_batch_is_accepted_in_order(stack: Stack) -> None:
    answer = batched(stack, *(event(n, type="com.example.changed") for n in range(400)))
    invocations = answer.body["invocations"]

    assert [one["event_id"] for one in invocations] == [f"B-{n // 2}" for n in range(800)]
    done = ended(stack, [one["id"] for one in invocations])
    assert [one["result"] for one in done if one["function"] == "doubled"] == [
        2 * n for n in range(400)
    ]


def test_one_event_that_does_not_fit_refuses_the_whole_request(stack: Stack) -> None:
    answer = batched(stack, event(1), event(2, data={"number": "x"}), event(3))

    assert answer.status == 422
    assert answer.body["type"] == "urn:eyas:problem:invalid-payload"
    assert (answer.body["event_id"], answer.body["function"]) == ("B-2", "doubled")
    assert answer.body["index"] == 1
    assert answer.body["errors"] == [
        {"pointer": "/1/data/number", "detail": "Expected `int`, got `str`"}
    ]
    assert "event 'B-2'" in answer.body["detail"]
    assert "'doubled'" in answer.body["detail"]
    assert accepted(stack) == NOTHING
    # It has not used its key.
    assert structured(stack, {"number": 2}, id="B-2").status == 202


@pytest.mark.parametrize("path", ["/events", "/functions/doubled"])
def test_a_misfit_is_pointed_at_in_the_event(stack: Stack, path: str) -> None:
    for send in (binary, structured):
        answer = send(stack, {"number": 1.5, "colour": 1}, path=path)
        assert answer.status == 422
        assert [one["pointer"] for one in answer.body["errors"]] == ["/data/number", "/data/colour"]
        assert (answer.body["event_id"], answer.body["function"]) == ("A-1", "doubled")
    answer = post(
        stack,
        b"\x89PNG",
        "image/png",
        path=path,
        **{f"ce-{k}": v for k, v in CREATED.items() if k != "datacontenttype"},
    )
    assert (answer.status, answer.body["errors"][0]["pointer"]) == (422, "/data_base64")
    assert "image/png" in answer.body["detail"]
    assert accepted(stack) == NOTHING


def test_an_event_is_checked_against_the_type_hint(stack: Stack) -> None:
    (one,) = structured(stack, {"number": 1}, type="org.ordered").body["invocations"]
    assert record(stack, one["id"])["result"] == ["A-1", 1]
    answer = structured(stack, {"number": None}, type="org.ordered", id="A-2")
    assert (answer.status, answer.body["function"]) == (422, "picky")
    assert answer.body["errors"][0]["pointer"] == "/data/number"


def test_data_of_another_kind_goes_to_event_handlers(stack: Stack) -> None:
    headers = {f"ce-{k}": v for k, v in CREATED.items() if k != "datacontenttype"}
    headers["ce-type"] = "com.example.picture"
    (one,) = post(stack, b"\x89PNG", "image/png", **headers).body["invocations"]

    assert record(stack, one["id"])["payload"] == CREATED | {
        "type": "com.example.picture",
        "datacontenttype": "image/png",
        "data_base64": "iVBORw==",
    }


def test_an_event_without_data_is_one_without_parameters(stack: Stack) -> None:
    headers = {f"ce-{k}": v for k, v in CREATED.items() if k != "datacontenttype"}

    assert post(stack, b"", "application/json", **headers).status == 422
    answer = post(stack, b"", "application/json", path="/functions/unsubscribed", **headers)
    assert answer.status == 202
    assert record(stack, answer.body["id"])["result"] == 0


def test_an_event_that_nobody_subscribed_to_is_taken_and_said_so(stack: Stack) -> None:
    answer = binary(stack, "anything", type="org.other")

    assert (answer.status, answer.body) == (202, {"invocations": []})
    request_id = answer.headers["x-request-id"]
    by_event: dict[str, Any] = {}

    def is_logged() -> bool:  # web writes the lines of a turn when it is over
        lines = logged(stack, lambda one: one.get("request_id") == request_id, process="web")
        by_event.update({one["event"]: one for one in lines})
        return "request.finished" in by_event

    stack.wait_for(is_logged, "the line")
    assert by_event["event.unmatched"]["event_types"] == ["org.other"]
    assert by_event["request.finished"]["event_count"] == 1
    assert by_event["request.finished"]["invocation_count"] == 0


def test_an_empty_batch_is_nothing(stack: Stack) -> None:
    assert batched(stack).body == {"invocations": []}
    assert batched(stack, path="/functions/doubled").body == {"accepted": 0, "ids": []}


BINARY = {f"ce-{k}": v for k, v in CREATED.items() if k != "datacontenttype"}


@pytest.mark.parametrize(
    ("headers", "body", "refusal"),
    [
        ({}, b"{}", (400, "malformed-event", "ce-specversion")),
        ({"ce-specversion": "1.0"}, b"{}", (400, "malformed-event", "id, source, type")),
        (BINARY | {"ce-specversion": ""}, b"{}", (400, "malformed-event", "specversion")),
        (BINARY | {"ce-specversion": "0.3"}, b"{}", (400, "malformed-event", "'0.3'")),
        (BINARY | {"ce-subject": "%C0%A0"}, b"{}", (400, "malformed-event", "ce-subject")),
        (BINARY | {"ce-my-extension": "x"}, b"{}", (400, "malformed-event", "my-extension")),
        (BINARY | {"Content-Type": "application/json"}, b"{", (400, "malformed-json", "line 1")),
        ({"Content-Type": STRUCTURED}, b"[]", (400, "malformed-event", "JSON object")),
        ({"Content-Type": STRUCTURED}, b"{}", (400, "malformed-event", "id, source, type")),
        ({"Content-Type": STRUCTURED}, b"", (400, "malformed-event", "empty")),
        ({"Content-Type": STRUCTURED}, b'{"id"}', (400, "malformed-json", "line 1")),
        ({"Content-Type": BATCHED}, b"{}", (400, "malformed-event", "JSON array")),
        ({"Content-Type": BATCHED}, b"[5]", (400, "malformed-event", "event 0 of the batch")),
        (
            {"Content-Type": "application/cloudevents+xml"},
            b"<a/>",
            (415, "unknown-event-format", "application/cloudevents+xml"),
        ),
        (BINARY, b'"' + b"x" * 20_000 + b'"', (413, "payload-too-large", "20000")),
        ({"Content-Type": STRUCTURED}, b" " * 20_001, (413, "payload-too-large", "20000")),
    ],
)
def test_what_is_no_event_is_refused(
    stack: Stack, headers: dict[str, str], body: bytes, refusal: tuple[int, str, str]
) -> None:
    status, kind, named = refusal
    for path in ("/events", "/functions/whole"):
        if path != "/events" and not headers:
            continue  # a payload like any other
        answer = stack.request(path, body=body, headers=headers, method="POST")

        assert (answer.status, answer.body["type"]) == (status, f"urn:eyas:problem:{kind}")
        assert named in answer.body["detail"]
    assert accepted(stack) == NOTHING


def test_a_batch_has_the_limits_of_batches(stack: Stack) -> None:
    large = batched(stack, event(1), event(2, data="x" * 20_000))
    assert (large.status, large.body["limit_bytes"]) == (413, 20_000)
    assert "payload 1" in large.body["detail"]
    many = batched(stack, *({} for _ in range(1_001)))
    assert (many.status, many.body["limit"]) == (413, 1_000)
    wrong = batched(stack, event(1), event(2, source=""))
    assert (wrong.status, wrong.body["index"]) == (400, 1)
    deep = event(2, data={"number": json.loads("[" * 100 + "]" * 100)})
    nested = batched(stack, event(1), deep)
    assert (nested.status, nested.body["index"]) == (400, 1)
    assert "deeper than 100 levels" in nested.body["detail"]
    assert accepted(stack) == NOTHING


@pytest.mark.parametrize("path", ["/events", "/functions/whole"])
def test_a_key_of_the_callers_own_is_refused(stack: Stack, path: str) -> None:
    for content_type, body in ((STRUCTURED, CREATED), (BATCHED, [CREATED])):
        answer = post(
            stack, json.dumps(body).encode(), content_type, path=path, Idempotency_Key="k"
        )
        assert answer.status == 400
        assert "source and id" in answer.body["detail"]


def test_events_can_be_delayed(stack: Stack) -> None:
    body = json.dumps(event(1)).encode()
    ids = [one["id"] for one in post(stack, body, STRUCTURED, Eyas_Delay="100").body["invocations"]]
    assert stack.request(f"/invocations/{ids[0]}").body["due_at"]
    stack.advance(100)
    ended(stack, ids)


def test_the_end_of_an_invocation_is_an_event_too(stack: Stack) -> None:
    body = json.dumps({"number": 7}).encode()
    answer = post(
        stack,
        body,
        "application/json",
        path="/functions/unsubscribed",
        Eyas_Callback=f"{stack.url}/events",
    )

    told: set[str] = set()

    def is_told() -> bool:
        lines = logged(stack, lambda one: one["event"] == "attempt.finished")
        told.update(one["invocation_id"] for one in lines if one["function"] == "told")
        return bool(told)

    stack.wait_for(is_told, "the callback's invocation")
    assert record(stack, told.pop())["result"] == [answer.body["id"], 7]
    assert not told


# A function's own route.


def test_on_its_own_route_an_event_invokes_just_that_function(stack: Stack) -> None:
    answer = binary(stack, {"number": 3}, path="/functions/unsubscribed", type="org.other")

    assert answer.status == 202
    assert answer.headers["location"] == f"/invocations/{answer.body['id']}"
    seen = record(stack, answer.body["id"])
    assert (seen["trigger"], seen["payload"], seen["result"]) == ("event", {"number": 3}, 3)
    assert accepted(stack) == NOTHING | {"unsubscribed": 1}


def test_on_its_own_route_an_event_handler_gets_the_event(stack: Stack) -> None:
    for number, send in enumerate((binary, structured)):
        answer = send(stack, [1.0], path="/functions/whole", id=str(number))
        expected = CREATED | {"id": str(number), "data": [1.0]}
        assert record(stack, answer.body["id"])["result"] == expected


def test_on_its_own_route_an_event_may_be_waited_for(stack: Stack) -> None:
    body = json.dumps(event(4) | {"pad": "x" * 25_000}).encode()  # the limit is the higher one
    answer = post(stack, body, STRUCTURED, path="/functions/doubled", Prefer="wait=20")
    again = post(stack, body, STRUCTURED, path="/functions/doubled", Prefer="wait=20")

    assert (answer.status, answer.body["result"]) == (200, 8)
    assert answer.headers["preference-applied"] == "wait=20"
    assert again.body == answer.body
    assert again.headers["idempotent-replayed"] == "true"


def test_on_its_own_route_a_duplicate_is_answered_like_a_repeated_key(stack: Stack) -> None:
    first = binary(stack, {"number": 1}, path="/functions/doubled")
    ended(stack, [first.body["id"]])
    again = structured(stack, {"number": 5}, path="/functions/doubled")

    assert again.body == first.body | {"status": "succeeded"}
    assert again.headers["idempotent-replayed"] == "true"
    # The same event for all who are subscribed: this one has it already.
    invocations = binary(stack, {"number": 1}).body["invocations"]
    assert invocations[0] == {"event_id": "A-1", "function": "doubled", "id": first.body["id"]}
    assert accepted(stack) == dict.fromkeys(SUBSCRIBED, 1) | {"unsubscribed": 0}


@pytest.mark.parametrize("path", ["/functions/doubled", "/functions/doubled/batch"])
def test_on_its_own_route_a_batch_is_one_invocation_for_each_event(stack: Stack, path: str) -> None:
    answer = batched(stack, event(1), event(2), event(1), path=path)

    assert answer.status == 202
    ids = answer.body["ids"]
    assert (answer.body["accepted"], ids[0]) == (3, ids[2])
    assert [one["result"] for one in ended(stack, ids)] == [2, 4, 2]
    again = batched(stack, event(1), event(2), event(1), path=path)
    assert (again.body, again.headers["idempotent-replayed"]) == (answer.body, "true")
    bad = batched(stack, event(3), event(4, data=None), path=path)
    assert (bad.status, bad.body["index"], bad.body["event_id"]) == (422, 1, "B-4")
    assert accepted(stack) == NOTHING | {"doubled": 2}


def test_a_payload_like_any_other_stays_one(stack: Stack) -> None:
    """`application/vnd.x+json` and headers that only look like those of events."""
    answer = stack.request(
        "/functions/whole",
        body=b'{"specversion": "1.0"}',
        headers={"Content-Type": "application/vnd.x+json", "ce-id": "1", "Prefer": "wait=20"},
    )
    assert (answer.status, answer.body["result"]) == (200, {"specversion": "1.0"})
    replay = stack.request(
        f"/invocations/{answer.body['id']}/replay",
        body=json.dumps(CREATED).encode(),
        headers={"Content-Type": STRUCTURED},
    )
    seen = record(stack, replay.body["id"])
    assert (seen["trigger"], seen["payload"]) == ("http", CREATED)


def test_functions_show_what_they_are_subscribed_to(stack: Stack) -> None:
    listed = {one["name"]: one for one in stack.request("/functions").body["functions"]}

    assert listed["doubled"]["triggers"] == ["http", "celery", "event"]
    assert listed["doubled"]["on"] == ["com.example.created", "com.example.changed"]
    assert listed["loud"]["on"] == ["com.example.*"]
    assert listed["unsubscribed"]["triggers"] == ["http", "celery"]
    assert listed["unsubscribed"]["on"] == []


# Handshake.


@pytest.mark.parametrize("path", ["/events", "/functions/unsubscribed"])
def test_the_handshake_of_webhooks(stack: Stack, path: str) -> None:
    """http-webhook.md, 4.2: "If and only if the delivery target does allow delivery of the events,
    it MUST reply to the request by including the WebHook-Allowed-Origin and WebHook-Allowed-Rate
    headers."
    """
    asked = {"WebHook-Request-Origin": "eventemitter.example.com", "WebHook-Request-Rate": "120"}
    answer = stack.request(path, headers=asked, method="OPTIONS")

    assert answer.status == 200
    assert answer.headers["webhook-allowed-origin"] == "eventemitter.example.com"
    assert answer.headers["webhook-allowed-rate"] == "*"
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/events", "POST"),
        ("/functions/doubled", "GET, POST"),
        ("/functions/nobody", "GET, POST"),
        ("/functions", "GET"),
    ],
)
def test_plain_options_list_the_methods(stack: Stack, path: str, methods: str) -> None:
    for headers in ({}, {"WebHook-Request-Origin": "no\tname"}, {"WebHook-Request-Origin": ""}):
        answer = stack.request(path, headers=headers, method="OPTIONS")
        assert (answer.status, answer.headers["allow"], answer.raw) == (200, methods, b"")
        assert "webhook-allowed-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/events", "/functions/doubled"])
def test_no_page_of_another_site_gets_a_permission(stack: Stack, path: str) -> None:
    asked = {"WebHook-Request-Origin": "evil.example"}
    for foreign in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        answer = stack.request(path, headers=asked | foreign, method="OPTIONS")
        assert answer.status == 403
        assert "webhook-allowed-origin" not in answer.headers
        assert binary(stack, {"number": 1}, path=path).status == 202
    refused = stack.request(path, body=b"{}", headers=BINARY | {"Origin": "https://evil.example"})
    assert refused.status == 403


@pytest.mark.parametrize(
    ("path", "methods"), [("/events", "POST"), ("/functions/doubled", "GET, POST")]
)
def test_pages_of_allowed_sites_may_ask_beforehand(stack: Stack, path: str, methods: str) -> None:
    answer = stack.request(
        path,
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "ce-id",
        },
        method="OPTIONS",
    )
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["access-control-allow-methods"] == methods


# When the broker has no room, or is away.


def evaluations(connection: redis.Redis) -> int:
    stats = connection.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))


def test_all_of_a_request_is_accepted_in_one_exchange(web_stack: Stack) -> None:
    batched(web_stack, event(0), path="/functions/echo")
    with redis.Redis.from_url(web_stack.redis_url) as connection:
        before = evaluations(connection)
        answer = batched(web_stack, *map(event, range(1, 25)), path="/functions/echo")
        assert answer.body["accepted"] == 24
        assert evaluations(connection) == before + 1


def test_no_callers_key_is_that_of_an_event(web_stack: Stack) -> None:
    batched(web_stack, event(0), path="/functions/echo")
    with redis.Redis.from_url(web_stack.redis_url) as connection:
        (key,) = connection.scan_iter("eyas:idempotency:*")
        assert 86_390 < connection.ttl(key) <= 86_400
    assert key.startswith(b"eyas:idempotency:echo:")
    assert not key.isascii()


def test_what_had_no_room_is_completed_by_sending_it_again(
    web_stack: Stack, acting_worker: Any
) -> None:
    path = "/functions/echo"
    first = [event(n) for n in range(20)]
    second = [event(n) for n in range(20, 40)]
    assert batched(web_stack, *first, path=path).status == 202
    refused = batched(web_stack, *second, path=path)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")

    for _ in range(15):
        acting_worker.succeed(None)
    answer = batched(web_stack, *second, path=path)

    assert answer.status == 202
    assert len(set(answer.body["ids"])) == 20
    assert web_stack.request(path).body["counts"]["accepted"] == 40


def test_after_a_503_an_event_may_be_sent_again(web_stack: Stack) -> None:
    path = "/functions/echo"
    batched(web_stack, event(0), path=path)
    with redis.Redis.from_url(web_stack.redis_url) as connection:
        pid = connection.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        refused = batched(web_stack, event(1), event(2), path=path)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert time.monotonic() - started < 5
    finally:
        os.kill(pid, signal.SIGCONT)

    answers: list[Response] = []

    def is_accepted() -> bool:
        answers.append(batched(web_stack, event(1), event(2), path=path))
        return answers[-1].status == 202

    web_stack.wait_for(is_accepted, "the broker")
    assert len(set(answers[-1].body["ids"])) == 2
    assert web_stack.request(path).body["counts"]["accepted"] == 3


def test_a_killed_web_leaves_what_sending_again_completes(stack: Stack) -> None:
    events = [event(n, id=f"K-{n}", type="com.example.changed") for n in range(500)]
    for before_kill_seconds in (0.03, 0.06, 0.12):
        with ThreadPoolExecutor(1) as pool:
            cut_off = pool.submit(batched, stack, *events)
            time.sleep(before_kill_seconds)  # whenever it is, the rest has to hold
            stack.kill("web")
            cut_off.exception(30)
        stack.start("web")
        stack.wait_until_ready()

    answer = batched(stack, *events)

    assert answer.status == 202
    ids = [one["id"] for one in answer.body["invocations"]]
    assert len(set(ids)) == 1_000
    assert batched(stack, *events).body == answer.body
    ended(stack, ids, within=60)
    assert accepted(stack) == NOTHING | {"doubled": 500, "loud": 500}
    assert_conserved(stack)
