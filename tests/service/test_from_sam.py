"""What docs/from-sam.md shows: a handler of AWS Lambda, and the commands to try it with."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.testing import Stack
from tests.lambda_api import body, client_of

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "from-sam.md").read_text(encoding="utf-8")
NEW = "  # new"


def block(language: str) -> str:
    """Return the only code block of the page in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def without_the_new_lines(code: str) -> str:
    return "\n".join(line for line in code.splitlines() if not line.endswith(NEW))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("from_sam") / "moved_functions"
    package = folder / "several_files"
    package.mkdir(parents=True)
    (folder / "orders.py").write_text(block("python"))
    (package / "__init__.py").write_text("from .app import lambda_handler\n")
    (package / "helper.py").write_text("def text():\n    return 'helped'\n")
    (package / "app.py").write_text(
        "from runtime import function\n\nfrom . import helper\n\n\n"
        "@function(name='SeveralFiles')\ndef lambda_handler(event, context):\n"
        "    return helper.text()\n"
    )
    environment = {"EYAS_WORKERS": "1", "TABLE": "orders"}
    with Stack(functions_dir=folder, environment=environment) as stack:
        yield stack


def test_the_handler_is_one_of_aws_but_for_two_lines() -> None:
    code = block("python")
    assert code.count(NEW) == 2
    module: dict[str, Any] = {}
    exec(compile(without_the_new_lines(code), "orders.py", "exec"), module)  # noqa: S102  our own page
    assert "runtime" not in without_the_new_lines(code)
    assert callable(module["lambda_handler"])


def test_the_commands_do_what_the_page_says(stack: Stack, tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent
    environment = stack.process_environment | {
        "EYAS_URL": stack.url,
        "PATH": f"{scripts}:{stack.process_environment['PATH']}",
        "PYTHONPATH": str(PROJECT),
    }
    commands = block("sh").replace("http://127.0.0.1:8000", stack.url)
    assert stack.url in commands
    ran = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", commands],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert '{"table": "orders", "orders": [7]}' in ran.stdout
    assert ": 1 orders" in ran.stdout  # the handler's own log line, of the root logger
    assert json.loads((tmp_path / "answer.json").read_text()) == {"table": "orders", "orders": [7]}


def test_the_schedule_of_the_template_is_that_of_the_function(stack: Stack) -> None:
    (found,) = stack.request("/schedules").body["schedules"]
    assert (found["function"], found["schedule"]) == ("Orders", "0 3 * * MON-FRI")
    assert stack.request("/schedules/Orders/run", method="POST", body=b"").status == 202
    assert "cron(0 3 ? * MON-FRI *)" in block("yaml")


def test_a_handler_of_several_files_is_a_package(stack: Stack) -> None:
    assert body(client_of(stack).invoke(FunctionName="SeveralFiles")) == "helped"
