"""Server-Sent Events: what becomes of an invocation, and of all of them, as it happens."""

import contextlib
import http.client
import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from runtime.store import is_reachable
from runtime.testing import Stack
from tests.asking import accept, record
from tests.service.conftest import ActingWorker

SAMPLE_FUNCTIONS = Path(__file__).parent.parent / "sample_functions"
# Whatever some client takes for the end of a line.
LINE_ENDS = "\n\r\u2028\u2029\x85\x0b\x0c\x1c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One event, as the specification has it read."""

    type: str
    data: Any
    id: str | None


class Stream:
    """One answer that goes on."""

    def __init__(self, stack: Stack, path: str, *, last_event_id: str | None = None) -> None:
        address = urlsplit(stack.url)
        self.connection = http.client.HTTPConnection(address.netloc, timeout=30)
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        self.connection.request("GET", path, headers=headers)
        self.answer = self.connection.getresponse()
        self.retry_ms: int | None = None

    def events(self) -> Iterator[Sent]:
        """Yield the events that come; https://html.spec.whatwg.org/multipage/#dispatchMessage."""
        found: dict[str, str] = {}
        for raw in self.answer:
            # A client that reads by `str.splitlines` sees the same lines.
            (line,) = raw.decode().splitlines()
            name, _, value = line.partition(":")
            if line and name:
                value = value.removeprefix(" ")
                found[name] = f"{found[name]}\n{value}" if name in found else value
            elif not line:
                self.retry_ms = int(found["retry"]) if "retry" in found else self.retry_ms
                if "data" in found:
                    data = json.loads(found["data"])
                    yield Sent(type=found["event"], data=data, id=found.get("id"))
                found = {}

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


@contextlib.contextmanager
def opened(stack: Stack, path: str, *, last_event_id: str | None = None) -> Iterator[Stream]:
    stream = Stream(stack, path, last_event_id=last_event_id)
    try:
        yield stream
    finally:
        stream.close()


def path_of(invocation_id: str) -> str:
    return f"/invocations/{invocation_id}/events"


def listeners(raw: redis.Redis, channel: str) -> int:
    ((_, count),) = raw.pubsub_numsub(channel)
    return int(count)


def server_pid(stack: Stack) -> int:
    with redis.Redis.from_url(stack.redis_url) as connection:
        return int(connection.info("server")["process_id"])


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A stack that may be harmed."""
    with Stack(functions_dir=SAMPLE_FUNCTIONS, environment={"EYAS_WORKERS": "1"}) as started:
        yield started


def test_a_run_with_retries_is_told_in_its_order(sample_stack: Stack) -> None:
    invocation_id = accept(sample_stack, "flaky", {"until_attempt": 3})

    with opened(sample_stack, path_of(invocation_id)) as stream:
        assert stream.answer.headers["Content-Type"] == "text/event-stream"
        assert stream.answer.headers["Cache-Control"] == "no-store"
        told = list(stream.events())

    assert stream.retry_ms == 2000
    assert {event.type for event in told} == {"status"}
    attempts = [(event.data["attempt"], event.data["status"]) for event in told]
    assert attempts == sorted(attempts, key=lambda one: one[0])
    assert attempts[-1] == (3, "succeeded")
    # Each of them waits for 25 ms or more.
    assert {(1, "retrying"), (2, "retrying")} <= set(attempts)
    assert len(attempts) == len({event.id for event in told})
    assert told[-1].data == record(sample_stack, invocation_id)


def test_progress_is_told_while_it_runs(sample_stack: Stack, tmp_path: Path) -> None:
    marker = tmp_path / "go_on"
    invocation_id = accept(sample_stack, "count_up", {"total": 3, "marker": str(marker)})

    with opened(sample_stack, path_of(invocation_id)) as stream:
        told = stream.events()
        event = next(e for e in told if e.data["progress"] is not None)
        assert event.data["status"] == "running"
        assert event.data["progress"]["total"] == 3
        marker.touch()
        *_, last = told

    assert last.data["status"] == "succeeded"


def test_who_comes_again_is_told_what_is_new_only(
    web_stack: Stack, acting_worker: ActingWorker
) -> None:
    invocation_id = accept(web_stack, "echo", {"a": 1})
    with opened(web_stack, path_of(invocation_id)) as stream:
        queued = next(stream.events())
    with opened(web_stack, path_of(invocation_id), last_event_id=queued.id) as stream:
        told = stream.events()
        wait_for_watch(web_stack, invocation_id)
        acting_worker.succeed(1)
        assert [event.data["status"] for event in told][-1] == "succeeded"
    with opened(web_stack, path_of(invocation_id), last_event_id=queued.id) as stream:
        (last,) = stream.events()
    assert last.data["status"] == "succeeded"

    with opened(web_stack, path_of(invocation_id), last_event_id=last.id) as stream:
        assert stream.answer.status == 204


def test_who_comes_again_to_the_same_state_is_told_nothing(web_stack: Stack) -> None:
    invocation_id = accept(web_stack, "echo", {"a": 1})
    with opened(web_stack, path_of(invocation_id)) as stream:
        queued = next(stream.events())
    with opened(web_stack, path_of(invocation_id), last_event_id=queued.id) as stream:
        wait_for_watch(web_stack, invocation_id)
        web_stack.request(f"/invocations/{invocation_id}", method="DELETE")
        (only,) = stream.events()
    assert only.data["status"] == "cancelled"


def wait_for_watch(stack: Stack, invocation_id: str, *, count: int = 1) -> None:
    with redis.Redis.from_url(stack.redis_url) as raw:
        channel = f"eyas:invocation:{invocation_id}"
        stack.wait_for(lambda: listeners(raw, channel) == count, f"{count} to watch")


def test_a_client_that_leaves_is_not_watched_for(web_stack: Stack) -> None:
    invocation_id = accept(web_stack, "echo", {"a": 1})
    with contextlib.ExitStack() as streams:
        for _ in range(20):
            stream = streams.enter_context(opened(web_stack, path_of(invocation_id)))
            next(stream.events())
        wait_for_watch(web_stack, invocation_id)
    wait_for_watch(web_stack, invocation_id, count=0)


def test_hundreds_of_streams_are_all_told(web_stack: Stack, acting_worker: ActingWorker) -> None:
    invocation_id = accept(web_stack, "echo", {"a": 1})
    with contextlib.ExitStack() as streams:
        told = [
            streams.enter_context(opened(web_stack, path_of(invocation_id))).events()
            for _ in range(300)
        ]
        assert {next(each).data["status"] for each in told} == {"queued"}
        acting_worker.succeed(1)
        for each in told:
            *_, last = each
            assert last.data["status"] == "succeeded"
    wait_for_watch(web_stack, invocation_id, count=0)


def test_what_was_never_seen_or_is_gone_has_no_stream(
    web_stack: Stack, acting_worker: ActingWorker
) -> None:
    accept(web_stack, "echo", {"a": 1})
    dead = acting_worker.give_up()
    web_stack.request(f"/dead-letters/{dead}", method="DELETE")

    for invocation_id, status, kind in (
        ("never-seen", 404, "unknown-invocation"),
        (dead, 410, "expired-invocation"),
    ):
        answer = web_stack.request(path_of(invocation_id))
        assert (answer.status, answer.body["type"]) == (status, f"urn:eyas:problem:{kind}")


def test_a_stream_ends_when_its_invocation_is_forgotten(web_stack: Stack) -> None:
    invocation_id = accept(web_stack, "echo", {"a": 1})
    with opened(web_stack, path_of(invocation_id)) as stream:
        told = stream.events()
        next(told)
        wait_for_watch(web_stack, invocation_id)
        web_stack.reset()
        assert list(told) == []


def test_no_text_breaks_the_frame(sample_stack: Stack) -> None:
    hostile = f"{LINE_ENDS}data: no{LINE_ENDS}{LINE_ENDS}event: forged\n\n:"
    # Line ends between the tokens of a payload stay as they were sent.
    spread = json.dumps({"event": {"text": hostile}}, ensure_ascii=False, indent=1)
    body = spread.replace("\n", "\r\n").encode()
    invocation_id = sample_stack.request("/functions/nested", body=body).body["id"]

    with opened(sample_stack, path_of(invocation_id)) as stream:
        *_, last = stream.events()

    assert last.type == "status"
    assert last.data["payload"] == json.loads(spread)
    assert "forged" in json.dumps(last.data["result"])
    assert last.data["result"] == record(sample_stack, invocation_id)["result"]


def test_a_stream_outlives_the_broker(stack: Stack, tmp_path: Path) -> None:
    marker = tmp_path / "go_on"
    invocation_id = accept(stack, "count_up", {"total": 1, "marker": str(marker)})
    with opened(stack, path_of(invocation_id)) as stream, opened(stack, "/changes") as changes:
        told, changed = stream.events(), changes.events()
        assert next(told).data["id"] == invocation_id
        assert next(changed).type == "listening"
        stack.stop("broker")
        stack.start("broker")
        stack.wait_for(lambda: is_reachable(stack.redis_url), "the broker")
        assert next(changed).type == "missed"
        marker.touch()

        *_, last = told
        end = next(changed)

    assert last.data["status"] == "succeeded"
    assert (end.data["id"], end.data["status"]) == (invocation_id, "succeeded")


def test_web_stops_though_streams_are_open(stack: Stack, tmp_path: Path) -> None:
    marker = tmp_path / "go_on"
    invocation_id = accept(stack, "count_up", {"total": 1, "marker": str(marker)})
    with contextlib.ExitStack() as streams:
        told = []
        for path in [path_of(invocation_id)] * 20 + ["/changes"] * 5:
            each = streams.enter_context(opened(stack, path)).events()
            next(each)
            told.append(each)
        web = stack.running.pop("web")
        started = time.monotonic()
        web.send_signal(signal.SIGTERM)
        for each in told:
            list(each)  # ends as an answer ends, and not by a cut

        assert web.wait(10) == 0
        # honcho kills after 5 seconds.
        assert time.monotonic() - started < 4
    stack.start("web")
    stack.wait_until_ready()
    marker.touch()
    assert record(stack, invocation_id)["status"] == "succeeded"


def test_head_leaves_nothing_open(web_stack: Stack) -> None:
    invocation_id = accept(web_stack, "echo", {"a": 1})
    address = urlsplit(web_stack.url).netloc
    with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        connection.request("HEAD", path_of(invocation_id))
        with connection.getresponse() as answer:
            assert (answer.status, answer.read()) == (200, b"")
        connection.request("GET", "/ping")
        with connection.getresponse() as answer:
            assert answer.read() == b'"pong!"'

        wait_for_watch(web_stack, invocation_id, count=0)


def test_all_changes_are_told_to_who_asks_for_them(
    web_stack: Stack, acting_worker: ActingWorker
) -> None:
    everything = "/changes?status=queued,running,retrying,succeeded,failed,cancelled,expired"
    with opened(web_stack, everything) as stream, opened(web_stack, "/changes") as ends:
        told, ended = stream.events(), ends.events()
        assert next(told).type == next(ended).type == "listening"
        done = accept(web_stack, "echo", {"a": 1})
        acting_worker.succeed(1)
        cancelled = accept(web_stack, "limited", {"number": 1})
        web_stack.request(f"/invocations/{cancelled}", method="DELETE")

        first = [next(told).data for _ in range(5)]
        last = [next(ended).data for _ in range(2)]

    assert [(one["id"], one["status"]) for one in first] == [
        (done, "queued"),
        (done, "running"),
        (done, "succeeded"),
        (cancelled, "queued"),
        (cancelled, "cancelled"),
    ]
    assert last == [first[2], first[4]]
    whole = web_stack.request(f"/invocations/{done}").body
    assert first[2].items() <= whole.items()
    assert first[4]["error"] == {"type": "Cancelled", "message": first[4]["error"]["message"]}
    with redis.Redis.from_url(web_stack.redis_url) as raw:
        for status in ("queued", "succeeded"):
            channel = f"eyas:changes:{status}"
            web_stack.wait_for(lambda channel=channel: listeners(raw, channel) == 0, "nobody")


def test_changes_of_one_function_are_told_alone(
    web_stack: Stack, acting_worker: ActingWorker
) -> None:
    with opened(web_stack, "/changes?function=limited&status=failed") as stream:
        told = stream.events()
        next(told)
        accept(web_stack, "echo", {"a": 1})
        acting_worker.give_up()
        accept(web_stack, "limited", {"number": 1})
        dead = acting_worker.give_up()
        change = next(told).data

    assert (change["id"], change["error"]) == (dead, {"type": "ValueError", "message": "no"})


def test_a_status_that_there_is_not_is_refused(web_stack: Stack) -> None:
    answer = web_stack.request("/changes?status=done")

    assert answer.status == 400
    assert "expected one or more of queued, running" in answer.body["detail"]
