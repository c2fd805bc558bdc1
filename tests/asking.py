"""What tests ask of a stack through HTTP."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import redis

from runtime.invocation import TERMINAL, Record
from runtime.settings import Settings
from runtime.store import Store, records
from runtime.testing import Stack

RETENTION = Settings.from_environment({}).retention


def accept(stack: Stack, name: str, payload: Any = None) -> str:
    """Invoke a function, and return the invocation's id."""
    answer = stack.request(f"/functions/{name}", body=json.dumps(payload or {}).encode())
    assert answer.status == 202, answer.raw
    invocation_id: str = answer.body["id"]
    return invocation_id


def accept_all(stack: Stack, name: str, payloads: Iterable[Any]) -> list[str]:
    """Invoke a function once for each payload, and return the ids in their order."""
    answer = stack.request(f"/functions/{name}/batch", body=json.dumps(list(payloads)).encode())
    assert answer.status == 202, answer.raw
    ids: list[str] = answer.body["ids"]
    return ids


def record(stack: Stack, invocation_id: str, *, wait: int = 30) -> dict[str, Any]:
    """Return a record, waiting until it is terminal."""
    body: dict[str, Any] = stack.request(
        f"/invocations/{invocation_id}", headers={"Prefer": f"wait={wait}"}
    ).body
    return body


def until_failed(stack: Stack, invocation_id: str, attempt: int) -> None:
    """Wait until this attempt has failed, and the next one is put off.

    Until then the record may still have the status of the attempt before.
    """

    def has_failed() -> bool:
        found = stack.request(f"/invocations/{invocation_id}").body
        return (found["status"], found["attempt"]) == ("retrying", attempt)

    stack.wait_for(has_failed, f"attempt {attempt} to fail")


def ended(
    stack: Stack, ids: Iterable[str], *, within: float = 30.0, status: str = "succeeded"
) -> list[dict[str, Any]]:
    """Wait until all of these have ended, all as they should; return their records.

    The broker is asked: web would write thousands of log lines.
    """
    wanted = list(ids)
    with redis.Redis.from_url(stack.redis_url) as connection:

        def have_ended() -> bool:
            each = connection.pipeline(transaction=False)
            for one in wanted:
                each.hget(f"eyas:invocation:{one}", "status")
            try:
                return {one.decode() for one in each.execute()} <= set(TERMINAL)
            except redis.ConnectionError:
                return False

        stack.wait_for(have_ended, f"{len(wanted)} invocations to end", seconds=within)
    store = Store(stack.redis_url)
    found = [store.run(records.read(one, retention=RETENTION)) for one in wanted]
    store.close()
    others = [one for one in found if not isinstance(one, Record) or one.status != status]
    assert not others, others[:3]
    shown = [one.to_json() for one in found if isinstance(one, Record)]
    return list(json.loads(msgspec.json.encode(shown)))


def lines(marker: Path, word: str = "") -> list[list[str]]:
    """Return the lines of a file that begin with a word, in words."""
    if not marker.exists():
        return []
    read = [line.split() for line in marker.read_text(encoding="utf-8").splitlines()]
    return [line for line in read if not word or line[0] == word]


def logged(
    stack: Stack, is_wanted: Callable[[dict[str, Any]], bool], *, process: str = "worker"
) -> list[dict[str, Any]]:
    """Return log records of a process."""
    text = (stack.log_dir / f"{process}.log").read_text(encoding="utf-8")
    return [one for one in map(json.loads, text.splitlines()) if is_wanted(one)]


def assert_conserved(stack: Stack) -> None:
    """`eyas check` finds nothing wrong."""
    checked = subprocess.run(
        [sys.executable, "-m", "runtime.cli", "check"],
        env=stack.process_environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 lost" in checked.stdout
