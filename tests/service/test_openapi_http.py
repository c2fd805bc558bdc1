"""Every operation of `/openapi.json` answers as the document says, whatever it is sent.

schemathesis makes requests of the document: of its examples, of the borders of its schemas, at
random, and in sequences that its links make possible; they fit the document or do not.
`EYAS_OPENAPI_SECONDS=120` goes on with the random ones for so long, with others each time.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.testing import Stack

ROOT = Path(__file__).parents[2]
SHAPED_FUNCTIONS = ROOT / "tests" / "shaped_functions"
SECONDS = int(os.environ.get("EYAS_OPENAPI_SECONDS", "0"))

CHECKS = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    # Of tests/openapi_checks.py, where the reasons are.
    "only_functions_are_to_blame",
    "payloads_that_fit_their_schema_are_taken",
)
# Answers that do not end by themselves, or much later; test_event_stream.py reads those.
ENDLESS = r"^/changes$|^/invocations/\{invocation_id\}/events$"
ENDLESS_COUNT = 2
# Functions that differ from others in their payloads only are left to the long form.
BY_PAYLOAD = r"^/functions/(boxes|fib|leaves|numbers|rest|untyped|with\.dots)(/batch)?$"
BY_PAYLOAD_COUNT = 28
SETTINGS = {
    "EYAS_WORKERS": "2",
    # Nobody waits long.
    "EYAS_MAX_WAIT_SECONDS": "1",
    "EYAS_TIME_SCALE": "200",
    # Within reach of what is generated.
    "EYAS_MAX_PAYLOAD_BYTES": "1000",
    "EYAS_MAX_WAITED_PAYLOAD_BYTES": "2000",
    "EYAS_MAX_BATCH": "5",
    "EYAS_CALLBACK_SECRET": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
}


@pytest.fixture
def production() -> Iterator[Stack]:
    with Stack(
        functions_dir=SHAPED_FUNCTIONS, environment=SETTINGS | {"EYAS_EMULATOR": "off"}
    ) as stack:
        yield stack


@pytest.fixture
def emulator() -> Iterator[Stack]:
    with Stack(functions_dir=SHAPED_FUNCTIONS, environment=SETTINGS) as stack:
        yield stack


def compare(stack: Stack, *options: str) -> str:
    """Have schemathesis compare a stack with its own document; return what it prints."""
    lasting = (
        (f"--max-time={SECONDS}", "--max-examples=10000", "--generation-database=none")
        if SECONDS
        else ("--generation-deterministic", "--max-examples=2")
    )
    left_out = ENDLESS if SECONDS else f"{ENDLESS}|{BY_PAYLOAD}"
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{stack.url}/openapi.json"]
    done = subprocess.run(
        [
            *command,
            f"--checks={','.join(CHECKS)}",
            "--continue-on-failure",
            "--no-color",
            f"--exclude-path-regex={left_out}",
            *lasting,
            *options,
        ],
        env=os.environ
        | {"SCHEMATHESIS_HOOKS": "tests.openapi_checks", "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        cwd=stack.folder,  # it keeps what has failed, and begins with that the next time
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=280 + 2 * SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.timeout(300 + 2 * SECONDS)
def test_every_operation_answers_as_it_is_described(production: Stack) -> None:
    printed = compare(production)

    tested = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", printed)
    assert tested is not None, printed
    selected, there, done = map(int, tested.groups())
    assert done == selected == there - ENDLESS_COUNT - (0 if SECONDS else BY_PAYLOAD_COUNT)


@pytest.mark.timeout(300 + 2 * SECONDS)
def test_an_emulator_answers_as_it_is_described(emulator: Stack) -> None:
    # Of what the other test has asked, the answers are the same here. No links lead to these.
    compare(emulator, "--include-path-regex=^/_emulator/", "--phases=examples,coverage,fuzzing")


def test_the_document_is_sent_again_only_if_it_has_changed(eyas_stack: Stack) -> None:
    first = eyas_stack.request("/openapi.json")
    again = eyas_stack.request(
        "/openapi.json", headers={"If-None-Match": f'"other", {first.headers["etag"]}'}
    )
    other = eyas_stack.request("/openapi.json", headers={"If-None-Match": '"other"'})

    assert first.status == 200
    assert first.headers["content-type"] == "application/json"
    assert first.headers["cache-control"] == "no-cache"
    assert first.body["openapi"].startswith("3.1.")
    assert "/functions/fib" in first.body["paths"]
    assert (again.status, again.raw) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert (other.status, other.raw) == (200, first.raw)
