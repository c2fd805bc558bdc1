"""InvokeWithResponseStream, as boto3 uses it."""

import base64
import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from botocore.eventstream import EventStreamBuffer

from runtime.store import chunks as chunk_steps
from runtime.store import keys
from runtime.store.chunks import Kept
from runtime.testing import Stack
from tests.asking import record
from tests.conftest import SAMPLE_FUNCTIONS
from tests.lambda_api import client_of, refused, request_id

ALL = [b"first: \xc3\xa4", b'{"second":[2,null]}', b"3.5"]
AS_JSON = ["first: ä", {"second": [2, None]}, "", 3.5]


class Streamed:
    """What comes of one call, event by event."""

    def __init__(self, stack: Stack, name: str, payload: Any = None, **terms: Any) -> None:
        sent = json.dumps({} if payload is None else payload).encode()
        self.answer = client_of(stack).invoke_with_response_stream(
            FunctionName=name, Payload=sent, **terms
        )
        self.id = request_id(self.answer)
        self._events = iter(self.answer["EventStream"])

    def next(self) -> bytes:
        """Return the next chunk, when it has come."""
        return bytes(next(self._events)["PayloadChunk"]["Payload"])

    def rest(self) -> tuple[list[bytes], dict[str, str]]:
        """Return all other chunks, and what is said at the end."""
        *chunks, end = self._events
        self.answer["EventStream"].close()
        return [one["PayloadChunk"]["Payload"] for one in chunks], end["InvokeComplete"]


def failed(end: dict[str, str]) -> dict[str, Any]:
    assert end["ErrorCode"] == "Unhandled"
    return dict(json.loads(end["ErrorDetails"]))


@pytest.mark.parametrize("name", ["yield_alone", "yield_in_thread", "yield_async"])
def test_chunks_come_before_the_handler_has_ended(
    sample_stack: Stack, tmp_path: Path, name: str
) -> None:
    marker = tmp_path / "go on"
    streamed = Streamed(sample_stack, name, {"marker": str(marker)})

    assert streamed.next() == ALL[0]
    assert record(sample_stack, streamed.id, wait=0)["status"] == "running"
    marker.touch()
    assert streamed.rest() == (ALL[1:], {})
    assert streamed.answer["StatusCode"] == 200
    assert streamed.answer["ExecutedVersion"] == "$LATEST"
    assert streamed.answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    assert record(sample_stack, streamed.id)["result"] == AS_JSON


def test_the_result_of_any_other_function_is_one_chunk(sample_stack: Stack) -> None:
    streamed = Streamed(sample_stack, "tick")

    assert streamed.rest() == ([b"1"], {})


def test_a_text_that_was_not_yielded_is_json(stack: Stack) -> None:
    assert Streamed(stack, "large", {"bytes_": 3}).rest() == ([b'"xxx"'], {})
    assert Streamed(stack, "echo", "a text").rest() == ([b'"a text"'], {})


def test_many_chunks_come_in_order(sample_stack: Stack) -> None:
    chunks, end = Streamed(sample_stack, "yield_numbers", {"count": 40_000}).rest()

    assert ([int(one) for one in chunks], end) == (list(range(40_000)), {})
    assert Streamed(sample_stack, "yield_numbers", {"count": 0}).rest() == ([], {})


def test_a_large_chunk_is_one(sample_stack: Stack) -> None:
    chunks, end = Streamed(sample_stack, "yield_text", {"characters": 140_000}).rest()

    assert (chunks, end) == (["ä".encode() * 140_000], {})


@pytest.mark.parametrize(
    "name", ["yield_and_fail", "yield_and_fail_in_thread", "yield_and_fail_async"]
)
def test_what_a_handler_raises_comes_after_its_chunks(sample_stack: Stack, name: str) -> None:
    streamed = Streamed(sample_stack, name)
    chunks, end = streamed.rest()

    assert chunks == [b"1", b"2"]
    error = failed(end)
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no more")
    assert error["requestId"] == streamed.id
    assert "in fail\n" in error["stackTrace"][-1]
    kept = record(sample_stack, streamed.id)
    assert (kept["status"], kept["error"]["type"]) == ("failed", "ValueError")
    assert "result" not in kept


def test_what_json_cannot_hold_comes_to_nobody(sample_stack: Stack) -> None:
    chunks, end = Streamed(sample_stack, "yield_what_is_not_json").rest()

    assert (chunks, failed(end)["errorType"]) == ([b"1"], "Runtime.MarshalError")


def test_a_stream_is_no_longer_than_a_result_may_be(sample_stack: Stack) -> None:
    chunks, end = Streamed(sample_stack, "yield_without_end").rest()

    assert failed(end)["errorType"] == "Function.ResponseSizeTooLarge"
    assert set(chunks) == {b"x" * 10_000}
    assert len(chunks) == 29  # of 300,000 bytes


@pytest.mark.parametrize("name", ["yield_and_hang", "yield_and_hang_async"])
def test_a_timeout_ends_the_stream(sample_stack: Stack, name: str) -> None:
    chunks, end = Streamed(sample_stack, name).rest()

    assert (chunks, failed(end)["errorType"]) == ([b"1"], "Sandbox.Timedout")


def test_chunks_are_not_sent_twice_when_the_process_dies(
    sample_stack: Stack, tmp_path: Path
) -> None:
    marker = tmp_path / "go on"
    streamed = Streamed(sample_stack, "yield_and_die", {"marker": str(marker)})

    assert streamed.next() == b"1"
    marker.touch()
    chunks, end = streamed.rest()
    assert (chunks, end["ErrorCode"]) == ([], "Runtime.TruncatedResponse")
    assert "attempt 1 was lost" in end["ErrorDetails"]
    # It runs again nevertheless, as any other.
    assert record(sample_stack, streamed.id)["result"] == [2, 0]


def test_a_process_that_dies_before_its_first_chunk_is_not_noticed(
    sample_stack: Stack, tmp_path: Path
) -> None:
    marker = tmp_path / "go on"
    marker.touch()
    streamed = Streamed(sample_stack, "yield_and_die", {"marker": str(marker), "before": True})

    assert streamed.rest() == ([b"2", b"0"], {})


def test_chunks_are_not_sent_twice_when_the_worker_dies(tmp_path: Path) -> None:
    marker = tmp_path / "go on"
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment={"EYAS_WORKERS": "1"}) as stack:
        streamed = Streamed(stack, "yield_alone", {"marker": str(marker)})
        assert streamed.next() == ALL[0]
        stack.kill("worker")
        stack.start("worker")

        chunks, end = streamed.rest()

        assert (chunks, end["ErrorCode"]) == ([], "Runtime.TruncatedResponse")
        marker.touch()
        assert record(stack, streamed.id)["result"] == AS_JSON


def test_it_is_tried_once(sample_stack: Stack) -> None:
    chunks, end = Streamed(sample_stack, "yield_and_try_again").rest()

    assert (chunks, failed(end)["errorMessage"]) == ([b"1"], "not yet")


def test_the_log_comes_with_the_last_event(stack: Stack) -> None:
    chunks, end = Streamed(stack, "talk", {"a": 1}, LogType="Tail").rest()

    assert chunks == [b"null"]
    assert "printed {'a': 1}\n" in base64.b64decode(end.pop("LogResult")).decode()
    assert end == {}
    _, end = Streamed(stack, "fail", LogType="Tail").rest()
    assert failed(end)["errorType"] == "CustomException"
    assert "[ERROR] CustomException" in base64.b64decode(end["LogResult"]).decode()


def test_a_module_that_cannot_be_imported_is_a_function_error(stack: Stack) -> None:
    chunks, end = Streamed(stack, "missing").rest()

    assert (chunks, failed(end)["errorType"]) == ([], "Runtime.ImportModuleError")


def test_what_is_not_accepted_is_refused_before_the_stream(stack: Stack, client: Any) -> None:
    invoke = client.invoke_with_response_stream
    for code, status, terms in (
        ("ResourceNotFoundException", 404, {"FunctionName": "nobody"}),
        ("ResourceNotFoundException", 404, {"FunctionName": "echo", "Qualifier": "prod"}),
        ("InvalidRequestContentException", 400, {"FunctionName": "echo", "Payload": b"{"}),
        ("ValidationException", 400, {"FunctionName": "echo", "InvocationType": "Event"}),
        ("NotImplementedException", 501, {"FunctionName": "echo", "TenantId": "blue"}),
    ):
        response = refused(lambda terms=terms: invoke(**terms))  # type: ignore[misc]
        assert response["Error"]["Code"] == code
        assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    dry = invoke(FunctionName="echo", InvocationType="DryRun")
    dry["EventStream"].close()
    assert dry["StatusCode"] == 204


def test_the_caller_is_known_to_the_handler(stack: Stack) -> None:
    said = base64.b64encode(b'{"custom": {"a": 1}}').decode()
    (told,), _ = Streamed(stack, "tell", ClientContext=said, Qualifier="$LATEST").rest()

    assert json.loads(told)["custom"] == {"a": 1}
    assert json.loads(told)["arn"].endswith(":tell:$LATEST")


class Raw:
    """A request by hand, of which as much is read as the test wants."""

    def __init__(self, stack: Stack, name: str, payload: Any, call_id: str = "") -> None:
        self._connection = http.client.HTTPConnection(stack.url.removeprefix("http://"), timeout=30)
        self._connection.request(
            "POST",
            f"/2021-11-15/functions/{name}/response-streaming-invocations",
            body=json.dumps(payload).encode(),
            headers={"amz-sdk-invocation-id": call_id} if call_id else {},
        )
        self.answer = self._connection.getresponse()
        self.id = str(self.answer.headers["x-amzn-RequestId"])

    def events(self) -> Iterator[bytes]:
        """Yield the payloads of frames as they come."""
        buffer = EventStreamBuffer()
        while received := self.answer.read1():
            buffer.add_data(received)
            yield from (frame.payload for frame in buffer)

    def hang_up(self) -> None:
        self.answer.close()
        self._connection.close()


def test_a_call_that_is_repeated_is_one_invocation(sample_stack: Stack, tmp_path: Path) -> None:
    marker = tmp_path / "go on"
    payload = {"marker": str(marker)}
    first = Raw(sample_stack, "yield_alone", payload, "call-1")
    of_first = first.events()
    assert next(of_first) == ALL[0]

    again = Raw(sample_stack, "yield_alone", payload, "call-1")
    assert (again.id, again.answer.headers["x-emulator-deduplicated"]) == (first.id, "true")
    of_again = again.events()
    assert next(of_again) == ALL[0]
    marker.touch()

    assert list(of_first) == list(of_again) == [*ALL[1:], b"{}"]
    late = Raw(sample_stack, "yield_alone", payload, "call-1")
    assert list(late.events()) == [*ALL, b"{}"]
    for one in (first, again, late):
        one.hang_up()


def test_who_hangs_up_costs_nothing_more_and_it_goes_on(
    sample_stack: Stack, tmp_path: Path
) -> None:
    marker = tmp_path / "go on"
    streamed = Raw(sample_stack, "yield_alone", {"marker": str(marker)})
    assert next(streamed.events()) == ALL[0]
    channel = keys.invocation(streamed.id)
    with redis.Redis.from_url(sample_stack.redis_url) as connection:
        listeners = lambda: connection.pubsub_numsub(channel)[0][1]  # noqa: E731
        assert listeners() == 1

        streamed.hang_up()

        sample_stack.wait_for(lambda: listeners() == 0, "web to stop listening")
    assert record(sample_stack, streamed.id, wait=0)["status"] == "running"
    marker.touch()
    assert record(sample_stack, streamed.id)["result"] == AS_JSON


def test_who_waits_too_long_is_told_so_in_the_stream(waiting_web: Stack) -> None:
    streamed = Streamed(waiting_web, "echo")
    chunks, end = streamed.rest()

    assert (chunks, end["ErrorCode"]) == ([], "ServiceException")
    assert f"GET /invocations/{streamed.id}" in end["ErrorDetails"]


def test_what_was_forgotten_ends_the_stream(web_stack: Stack, acting_worker: Any) -> None:
    with (
        ThreadPoolExecutor(1) as others,
        redis.Redis.from_url(web_stack.redis_url) as connection,
    ):
        call = others.submit(Streamed, web_stack, "echo")
        web_stack.wait_for(lambda: connection.llen("celery") == 1, "the message")
        held, one = acting_worker.start()
        part = Kept(tag=held.tag, id=one, part=0, chunks=b'["first"]', seconds=60.0)
        assert acting_worker.store.run(chunk_steps.keep(held.worker, [part])) == 1
        streamed = call.result(30)
    assert streamed.next() == b"first"

    web_stack.reset()

    chunks, end = streamed.rest()
    assert (chunks, end["ErrorCode"]) == ([], "ResourceConflictException")
