"""Limits: how much may wait, and what a function's options say over HTTP."""

from runtime.testing import Stack


def test_more_than_may_wait_is_429_and_nothing_is_queued(web_stack: Stack) -> None:
    for _ in range(30):
        assert web_stack.request("/functions/echo", body=b"{}").status == 202
    for path, headers in [
        ("/functions/echo", {}),
        ("/functions/echo", {"Prefer": "wait=5"}),
        ("/functions/echo", {"Idempotency-Key": "k"}),
        ("/functions/echo", {"Eyas-Delay": "1"}),
    ]:
        answer = web_stack.request(path, body=b"{}", headers=headers)
        assert answer.status == 429
        assert answer.headers["retry-after"] == "1"
        assert answer.body["type"] == "urn:eyas:problem:throttled"
        assert "EYAS_MAX_OPEN" in answer.body["detail"]

    assert web_stack.request("/functions/echo").body["counts"]["accepted"] == 30


def test_a_repeated_request_is_answered_even_when_no_more_may_wait(web_stack: Stack) -> None:
    key = {"Idempotency-Key": "k"}
    first = web_stack.request("/functions/echo", body=b"{}", headers=key).body
    for _ in range(29):
        web_stack.request("/functions/echo", body=b"{}")

    again = web_stack.request("/functions/echo", body=b"{}", headers=key)

    assert (again.status, again.body) == (202, first)


def test_there_is_room_again_when_something_is_finished(web_stack: Stack) -> None:
    ids = [web_stack.request("/functions/echo", body=b"{}").body["id"] for _ in range(30)]
    web_stack.request(f"/invocations/{ids[0]}", method="DELETE")

    assert web_stack.request("/functions/echo", body=b"{}").status == 202


def test_a_function_shows_its_options(web_stack: Stack) -> None:
    functions = {f["name"]: f for f in web_stack.request("/functions").body["functions"]}
    expected = {
        "timeout": 20,
        "soft_timeout": 15,
        "retries": 3,
        "backoff": 2,
        "backoff_max": 60,
        "max_age": 90,
        "concurrency": 4,
    }
    unset = {"soft_timeout": None, "retries": 0, "max_age": None, "concurrency": None}

    assert expected.items() <= functions["limited"].items()
    assert expected.items() <= web_stack.request("/functions/limited").body.items()
    assert unset.items() <= functions["echo"].items()


def test_an_invocation_has_its_functions_policy(web_stack: Stack) -> None:
    accepted = web_stack.request("/functions/limited", body=b'{"number": 1}')

    record = web_stack.request(accepted.headers["location"]).body
    assert (record["attempt"], record["max_attempts"]) == (0, 4)
