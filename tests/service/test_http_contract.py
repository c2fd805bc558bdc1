"""The HTTP contract, against a real stack."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runtime.testing import Stack
from runtime.testing.stack import Response

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def problem(answer: Response, status: int) -> Any:
    assert answer.status == status, answer.raw
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.body
    assert body["status"] == status
    assert {"type", "title", "instance"} <= body.keys()
    return body


def test_functions_are_listed_with_what_failed(eyas_stack: Stack) -> None:
    answer = eyas_stack.request("/functions")

    assert answer.status == 200
    names = [f["name"] for f in answer.body["functions"]]
    assert {"echo", "fib", "greeting", "link_check", "csv_summary", "wait_for_ports"} <= {*names}
    assert names == sorted(names)
    fib = answer.body["functions"][names.index("fib")]
    assert fib["timeout"] == 60
    assert fib["triggers"] == ["http", "celery"]
    assert fib["description"].startswith("Return the Fibonacci numbers")
    assert answer.body["failed"] == []


def test_a_function_shows_its_schemas(eyas_stack: Stack) -> None:
    shown = eyas_stack.request("/functions/fib").body

    assert shown["payload_schema"]["properties"]["number"] == {"type": "integer"}
    assert shown["payload_schema"]["required"] == ["number"]
    assert shown["result_schema"] == {"type": "array", "items": {"type": "integer"}}


def test_an_invocation_is_accepted_and_can_be_followed(eyas_stack: Stack) -> None:
    answer = eyas_stack.request("/functions/fib", body=b'{"number": 3}')

    assert answer.status == 202
    accepted = answer.body
    assert accepted == {"id": accepted["id"], "function": "fib", "status": "queued"}
    assert UUID.fullmatch(accepted["id"])
    assert answer.headers["location"] == f"/invocations/{accepted['id']}"
    followed = eyas_stack.request(answer.headers["location"], headers={"Prefer": "wait=10"})
    assert followed.headers["preference-applied"] == "wait=10"
    record = followed.body
    assert record["status"] == "succeeded"
    assert record["result"] == [0, 1, 1, 2]
    assert record["payload"] == {"number": 3}
    assert (record["trigger"], record["attempt"]) == ("http", 1)
    assert record["accepted_at"] <= record["started_at"] <= record["finished_at"]
    assert record["accepted_at"].endswith("Z")
    assert record["queue_wait_ms"] >= 0
    assert record["run_ms"] >= 0


def test_waiting_gives_the_result(eyas_stack: Stack) -> None:
    answer = eyas_stack.request(
        "/functions/fib", body=b'{"number": 10}', headers={"Prefer": "wait=10"}
    )

    assert answer.status == 200
    assert answer.headers["preference-applied"] == "wait=10"
    assert answer.body["status"] == "succeeded"
    assert answer.body["result"] == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55]


def test_waiting_too_briefly_gives_the_id(eyas_stack: Stack) -> None:
    started = time.monotonic()
    answer = eyas_stack.request(
        "/functions/fib",
        body=b'{"number": 1, "delay_seconds": 2}',
        headers={"Prefer": "respond-async, wait=1"},
    )
    waited = time.monotonic() - started

    assert answer.status == 202
    assert 1 <= waited < 2
    record = eyas_stack.request(answer.headers["location"], headers={"Prefer": "wait=10"}).body
    assert record["status"] == "succeeded"


@pytest.mark.parametrize("prefer", ["wait=x", "wait=0", "wait=-1", "foo; bar=1", 'a="wait=5"', ","])
def test_preferences_that_say_nothing_are_ignored(eyas_stack: Stack, prefer: str) -> None:
    answer = eyas_stack.request("/functions/echo", body=b"1", headers={"Prefer": prefer})

    assert answer.status == 202


def test_numbers_of_any_size_stay_exact(eyas_stack: Stack) -> None:
    long = int("7" * 20_000)
    numbers = [2**63, -(2**64), 10**100, long]

    assert eyas_stack.invoke("echo", numbers) == numbers


def test_fibonacci_is_exact_past_the_integer_limits(eyas_stack: Stack) -> None:
    def fibonacci(index: int) -> int:
        current, following = 0, 1
        for _ in range(index):
            current, following = following, current + following
        return current

    (result,) = eyas_stack.invoke("fib", {"number": 30_000, "last_only": True})

    assert result == fibonacci(30_000)
    assert len(str(result)) > 4_300
    assert eyas_stack.invoke("fib", {"number": 200})[-1] == fibonacci(200)


@pytest.mark.parametrize(
    "text",
    [
        b'{"__type__": "uuid", "__value__": {}}',
        b'{"__type__": "datetime", "__value__": "2026-01-01"}',
        '"\\u0000 \\" \\\\ ü 💥 \\u2028"'.encode(),
        b'{"a": {"a": [null, true, -0.5, 1e300, {}]}, "": []}',
        b"null",
        b"[]",
        b" 1 ",
    ],
)
def test_payloads_come_back_as_they_were_sent(eyas_stack: Stack, text: bytes) -> None:
    answer = eyas_stack.request("/functions/echo", body=text, headers={"Prefer": "wait=10"})
    sent = Response(status=0, headers={}, raw=text).body

    assert answer.status == 200, answer.raw
    assert answer.body["result"] == sent


def test_unknown_functions_are_404_and_name_those_that_exist(eyas_stack: Stack) -> None:
    for body in (None, b"{}"):
        found = problem(eyas_stack.request("/functions/fibb", body=body), 404)
        assert "no function named 'fibb'" in found["detail"]
        assert "fib" in found["detail"]
        assert found["instance"] == "/functions/fibb"


@pytest.mark.parametrize(
    ("body", "line", "column"), [(b"{", 1, 2), (b'{"number":\n x}', 2, 2), (b"\xff", 1, 1)]
)
def test_what_is_not_json_is_400_with_its_place(
    eyas_stack: Stack, body: bytes, line: int, column: int
) -> None:
    found = problem(eyas_stack.request("/functions/fib", body=body), 400)

    assert (found["line"], found["column"]) == (line, column)


def test_a_payload_that_does_not_fit_is_422_with_pointers(eyas_stack: Stack) -> None:
    body = b'{"number": "x", "colour": 1}'
    before = eyas_stack.request("/functions/fib").body["counts"]["accepted"]

    found = problem(eyas_stack.request("/functions/fib", body=body), 422)

    assert [e["pointer"] for e in found["errors"]] == ["/number", "/colour"]
    assert "int" in found["errors"][0]["detail"]
    assert eyas_stack.request("/functions/fib").body["counts"]["accepted"] == before


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/vnd.x+json; charset=utf-8",
        "application/x-www-form-urlencoded",
    ],
)
def test_media_types_that_are_read_as_json(eyas_stack: Stack, media_type: str) -> None:
    answer = eyas_stack.request("/functions/echo", body=b"{}", headers={"Content-Type": media_type})

    assert answer.status == 202


def test_other_media_types_are_415(eyas_stack: Stack) -> None:
    answer = eyas_stack.request(
        "/functions/echo", body=b"<a/>", headers={"Content-Type": "text/xml"}
    )

    assert "text/xml" in problem(answer, 415)["detail"]


def test_payloads_over_the_limit_are_413(sample_stack: Stack) -> None:
    def sized(size: int) -> bytes:
        return b'{"password": "' + b"x" * (size - 16) + b'"}'

    wait = {"Prefer": "wait=10"}
    assert sample_stack.request("/functions/secret", body=sized(100_000)).status == 202
    found = problem(sample_stack.request("/functions/secret", body=sized(100_001)), 413)
    assert found["limit_bytes"] == 100_000
    waited = sample_stack.request("/functions/secret", body=sized(200_000), headers=wait)
    assert waited.status == 200
    refused = sample_stack.request("/functions/secret", body=sized(200_001), headers=wait)
    assert problem(refused, 413)["limit_bytes"] == 200_000


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example:8000"},
    ],
)
@pytest.mark.parametrize("path", ["/functions/echo", "/ping", "/nowhere"])
def test_other_sites_are_kept_out(eyas_stack: Stack, headers: dict[str, str], path: str) -> None:
    problem(eyas_stack.request(path, body=b"{}", headers=headers), 403)


def test_our_own_pages_are_let_in(eyas_stack: Stack) -> None:
    own = {"Origin": eyas_stack.url, "Sec-Fetch-Site": "same-origin"}

    assert eyas_stack.request("/functions/echo", body=b"{}", headers=own).status == 202
    assert eyas_stack.request("/ping", headers={"Host": "localhost:1"}).status == 200
    assert eyas_stack.request("/ping", headers={"Host": "[::1]:8000"}).status == 200


@pytest.mark.parametrize(
    "path", ["/invocations/never-seen", "/status/never-seen", "/invocations/%20"]
)
def test_ids_never_seen_are_404(eyas_stack: Stack, path: str) -> None:
    problem(eyas_stack.request(path), 404)
    problem(eyas_stack.request(path, headers={"Prefer": "wait=5"}), 404)


def test_unknown_routes_and_methods_are_problems(eyas_stack: Stack) -> None:
    problem(eyas_stack.request("/nowhere"), 404)
    problem(eyas_stack.request("/ping", body=b""), 405)


def test_request_ids_are_echoed_or_given(eyas_stack: Stack) -> None:
    given = eyas_stack.request("/ping", headers={"X-Request-Id": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    made = eyas_stack.request("/ping", headers={"X-Request-Id": "no good " + "x" * 200})
    assert re.fullmatch(r"[0-9a-f]{32}", made.headers["x-request-id"])


def test_function_errors_are_500_with_the_error(sample_stack: Stack) -> None:
    answer = sample_stack.request(
        "/functions/fail", body=b'{"message": "sold out"}', headers={"Prefer": "wait=10"}
    )

    found = problem(answer, 500)
    assert UUID.fullmatch(found["invocation_id"])
    error = found["error"]
    assert (error["type"], error["message"]) == ("OrderError", "order 7: sold out")
    assert len(error["stack_trace"]) == 2
    assert "in fail" in error["stack_trace"][0]
    assert "in _raise" in error["stack_trace"][1]
    record = sample_stack.request(f"/invocations/{found['invocation_id']}").body
    assert (record["status"], record["error"]) == ("failed", error)
    assert "result" not in record


def test_the_blogs_client_is_served(eyas_stack: Stack) -> None:
    ping = eyas_stack.request("/ping")
    assert (ping.status, ping.raw) == (200, b'"pong!"')

    for number in (b'"4"', b"4"):
        created = eyas_stack.request("/create", body=b'{"number":' + number + b"}")
        assert created.status == 200
        task_id = created.body["data"]["task_id"]
        assert created.body == {"status": "success", "data": {"task_id": task_id}}

        path = f"/status/{task_id}"
        eyas_stack.wait_for(
            lambda path=path: eyas_stack.request(path).body["status"] == "SUCCESS",
            "SUCCESS",  # type: ignore[misc]
        )
        assert eyas_stack.request(path).body == {"status": "SUCCESS", "result": [0, 1, 1, 2, 3]}


@pytest.mark.parametrize("body", [b"{}", b'{"number": "x"}', b'{"number": true}', b"[]", b"1"])
def test_the_blogs_route_refuses_what_is_no_number(eyas_stack: Stack, body: bytes) -> None:
    found = problem(eyas_stack.request("/create", body=body), 422)

    assert found["errors"][0]["pointer"] == "/number"


def test_the_blogs_status_is_pending_while_queued_and_says_why_it_failed(
    sample_stack: Stack,
) -> None:
    busy = [
        sample_stack.request("/functions/sleep", body=b'{"seconds": 1}').body["id"]
        for _ in range(6)
    ]
    last = sample_stack.request(f"/status/{busy[-1]}").body
    assert last == {"status": "PENDING", "result": None}

    failed = sample_stack.request("/functions/fail", body=b"{}").body["id"]
    sample_stack.request(f"/invocations/{failed}", headers={"Prefer": "wait=20"})
    assert sample_stack.request(f"/status/{failed}").body == {
        "status": "FAILURE",
        "result": "OrderError: order 7: no reason",
    }


def test_a_wait_that_runs_out_is_answered_with_what_is_so_then(sample_stack: Stack) -> None:
    slow = sample_stack.request("/functions/sleep", body=b'{"seconds": 3}').body["id"]
    waited = sample_stack.request(f"/invocations/{slow}", headers={"Prefer": "wait=1"})
    assert (waited.status, waited.body["status"]) == (200, "running")


def test_many_waiters_share_one_connection(eyas_stack: Stack) -> None:
    first = eyas_stack.request("/functions/fib", body=b'{"number": 2, "delay_seconds": 1}').body[
        "id"
    ]

    def wait(_: int) -> Any:
        return eyas_stack.request(f"/invocations/{first}", headers={"Prefer": "wait=20"}).body

    with ThreadPoolExecutor(30) as pool:
        records = list(pool.map(wait, range(30)))

    assert {r["status"] for r in records} == {"succeeded"}


def test_health_and_readiness(eyas_stack: Stack) -> None:
    assert eyas_stack.request("/healthz").body == {"status": "alive"}
    assert eyas_stack.request("/readyz").body == {"status": "ready", "workers": 1}
