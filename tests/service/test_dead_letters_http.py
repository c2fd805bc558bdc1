"""`/dead-letters`: listing, redriving and purging what was given up."""

from typing import Any

import pytest

from runtime.invocation import Invocation
from runtime.policy import DeadLetterReason
from runtime.store import claims
from runtime.testing import Stack


def bury(stack: Stack, worker: Any, *, function: str = "echo", times: int = 1) -> list[str]:
    ids = []
    for number in range(times):
        body = b'{"number": %d}' % number
        assert stack.request(f"/functions/{function}", body=body).status == 202
        ids.append(worker.give_up())
    return ids


def malformed(stack: Stack, worker: Any) -> str:
    """Bury a message that is for no registered function."""
    stack.request("/functions/echo", body=b"{}")
    held, invocation_id = worker.take()
    dead_letter = Invocation(
        id=f"malformed-{invocation_id}",
        function="no such function!",
        payload=b'"text"',
        trigger="celery",
        timeout_seconds=0,
    )
    assert worker.store.run(
        claims.quarantine(
            held,
            dead_letter=dead_letter,
            error=b'{"type":"Malformed","message":"no body","stack_trace":[]}',
            reason=DeadLetterReason.MALFORMED,
            retention=worker.settings.retention,
        )
    )
    return dead_letter.id


def listed(stack: Stack, query: str = "") -> Any:
    answer = stack.request(f"/dead-letters{query}")
    assert answer.status == 200, answer.raw
    return answer.body


def test_there_are_none_at_first(web_stack: Stack) -> None:
    assert listed(web_stack) == {"dead_letters": [], "next_cursor": None}


def test_a_dead_letter_is_a_record_with_a_reason(web_stack: Stack, acting_worker: Any) -> None:
    (invocation_id,) = bury(web_stack, acting_worker)
    shown = web_stack.request(f"/dead-letters/{invocation_id}").body

    assert listed(web_stack)["dead_letters"] == [shown]
    assert (shown["id"], shown["function"]) == (invocation_id, "echo")
    assert (shown["reason"], shown["status"]) == ("Permanent", "failed")
    assert shown["error"] == {"type": "ValueError", "message": "no", "stack_trace": []}
    assert (shown["payload"], shown["attempt"]) == ({"number": 0}, 1)
    assert shown["accepted_at"] <= shown["finished_at"]
    record = web_stack.request(f"/invocations/{invocation_id}").body
    assert record["dead_letter"] == "Permanent"


def test_they_are_listed_in_pages_the_latest_first(web_stack: Stack, acting_worker: Any) -> None:
    ids = bury(web_stack, acting_worker, times=7)
    found: list[str] = []
    query = "?limit=3"
    for _ in range(4):
        page = listed(web_stack, query)
        found += [letter["id"] for letter in page["dead_letters"]]
        if page["next_cursor"] is None:
            break
        query = f"?limit=3&cursor={page['next_cursor']}"

    assert page["next_cursor"] is None
    assert found == ids[::-1]


def test_they_can_be_listed_by_function(web_stack: Stack, acting_worker: Any) -> None:
    bury(web_stack, acting_worker, times=2)
    (limited,) = bury(web_stack, acting_worker, function="limited")
    strange = malformed(web_stack, acting_worker)

    def ids(query: str) -> list[str]:
        return [letter["id"] for letter in listed(web_stack, query)["dead_letters"]]

    assert ids("?function=limited") == [limited]
    assert ids("?function=no%20such%20function!") == [strange]
    assert ids("?function=unknown") == []
    assert len(ids("?function=echo")) == 2
    assert ids("")[:2] == [strange, limited]


@pytest.mark.parametrize(
    "query",
    [
        "?limit=0",
        "?limit=101",
        "?limit=x",
        "?limit=-1",
        "?limit=",
        "?limit=1.5",
        "?cursor=",
        "?cursor=x",
        "?cursor=%20",
        "?cursor=MTIz",
        "?cursor=%C3%BC",
        "?cursor=" + "A" * 2_000,
    ],
)
def test_malformed_queries_are_400(web_stack: Stack, query: str) -> None:
    answer = web_stack.request(f"/dead-letters{query}")

    assert answer.status == 400
    assert answer.body["detail"].startswith(("limit:", "cursor:"))


def test_a_redriven_one_is_queued_again_under_its_id(web_stack: Stack, acting_worker: Any) -> None:
    (invocation_id,) = bury(web_stack, acting_worker, function="limited")
    answer = web_stack.request(f"/dead-letters/{invocation_id}/redrive", method="POST")

    assert answer.status == 202
    assert answer.body == {"id": invocation_id, "function": "limited", "status": "queued"}
    assert answer.headers["location"] == f"/invocations/{invocation_id}"
    record = web_stack.request(f"/invocations/{invocation_id}").body
    assert (record["status"], record["max_attempts"]) == ("queued", 5)
    assert "error" not in record
    assert listed(web_stack)["dead_letters"] == []
    again = web_stack.request(f"/dead-letters/{invocation_id}/redrive", method="POST")
    assert again.status == 404
    assert acting_worker.succeed(1) == invocation_id
    record = web_stack.request(f"/invocations/{invocation_id}").body
    assert (record["status"], record["attempt"]) == ("succeeded", 2)


def test_a_redriven_one_has_its_functions_age_again(web_stack: Stack, acting_worker: Any) -> None:
    (young,) = bury(web_stack, acting_worker, function="limited")
    (ageless,) = bury(web_stack, acting_worker)
    strange = malformed(web_stack, acting_worker)
    for one in (young, ageless, strange):
        assert web_stack.request(f"/dead-letters/{one}/redrive", method="POST").status == 202

    def expires(invocation_id: str) -> bool:
        found = acting_worker.store._client.hexists(
            f"eyas:invocation:{invocation_id}", "expires_at"
        )
        return bool(found)

    assert [expires(one) for one in (young, ageless, strange)] == [True, False, False]


def test_all_are_redriven_or_those_of_one_function(web_stack: Stack, acting_worker: Any) -> None:
    bury(web_stack, acting_worker, times=23)
    bury(web_stack, acting_worker, function="limited", times=2)

    def redrive(query: str) -> Any:
        answer = web_stack.request(f"/dead-letters/redrive{query}", method="POST")
        assert answer.status == 202
        return answer.body

    assert redrive("?function=unknown") == {"redriven": 0}
    assert redrive("?function=limited") == {"redriven": 2}
    assert redrive("") == {"redriven": 23}
    assert redrive("") == {"redriven": 0}
    assert web_stack.request("/functions/echo").body["counts"]["queued"] == 23


def test_a_purged_one_is_forgotten(web_stack: Stack, acting_worker: Any) -> None:
    kept, invocation_id = bury(web_stack, acting_worker, times=2)
    answer = web_stack.request(f"/dead-letters/{invocation_id}", method="DELETE")

    assert (answer.status, answer.raw) == (204, b"")
    assert [letter["id"] for letter in listed(web_stack)["dead_letters"]] == [kept]
    assert web_stack.request(f"/invocations/{invocation_id}").status == 410
    assert web_stack.request(f"/dead-letters/{invocation_id}", method="DELETE").status == 404


def test_all_are_purged_or_those_of_one_function(web_stack: Stack, acting_worker: Any) -> None:
    bury(web_stack, acting_worker, times=23)
    bury(web_stack, acting_worker, function="limited", times=2)
    malformed(web_stack, acting_worker)

    def purge(query: str) -> Any:
        answer = web_stack.request(f"/dead-letters{query}", method="DELETE")
        assert answer.status == 200
        return answer.body

    assert purge("?function=limited") == {"purged": 2}
    assert purge("?function=") == {"purged": 0}
    assert purge("") == {"purged": 24}
    assert listed(web_stack) == {"dead_letters": [], "next_cursor": None}


def test_what_is_no_dead_letter_is_404(web_stack: Stack) -> None:
    queued = web_stack.request("/functions/echo", body=b"{}").body["id"]

    for one in (queued, "never-seen", "%20"):
        for method, path in [
            ("GET", f"/dead-letters/{one}"),
            ("DELETE", f"/dead-letters/{one}"),
            ("POST", f"/dead-letters/{one}/redrive"),
        ]:
            answer = web_stack.request(path, method=method)
            assert answer.status == 404, (method, path)
            assert answer.body["type"] == "urn:eyas:problem:unknown-dead-letter"
