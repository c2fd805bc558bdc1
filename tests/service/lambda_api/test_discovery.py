"""Listing and describing functions; the AWS command."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from runtime.testing import Stack
from tests.lambda_api import ACCOUNT, client_of


def test_functions_are_described(client: Any) -> None:
    found = client.get_function(FunctionName="add")

    configuration = found["Configuration"]
    assert configuration["FunctionName"] == "add"
    assert configuration["FunctionArn"] == f"{ACCOUNT}add"
    assert configuration["Handler"] == "lambdas.some.add"
    assert configuration["Timeout"] == 300
    assert configuration["State"] == "Active"
    assert configuration["Version"] == "$LATEST"
    assert found["Concurrency"] == {"ReservedConcurrentExecutions": 3}
    assert "Concurrency" not in client.get_function(FunctionName="echo")
    alone = client.get_function_configuration(FunctionName="add", Qualifier="$LATEST")
    assert alone["FunctionArn"] == f"{ACCOUNT}add:$LATEST"
    for call in (client.get_function, client.get_function_configuration, client.list_aliases):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call(FunctionName="nobody")


def test_functions_are_listed_in_pages(client: Any) -> None:
    pages = list(client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 4}))
    names = [one["FunctionName"] for page in pages for one in page["Functions"]]

    assert names == sorted(names)
    assert {"add", "echo", "tell", "broken"} <= set(names)
    assert len(pages) == -(-len(names) // 4)
    whole = client.list_functions()
    assert [one["FunctionName"] for one in whole["Functions"]] == names
    assert "NextMarker" not in whole


def test_there_is_one_version_and_no_alias(client: Any) -> None:
    (version,) = client.list_versions_by_function(FunctionName="echo")["Versions"]

    assert version["Version"] == "$LATEST"
    assert version["FunctionArn"] == f"{ACCOUNT}echo:$LATEST"
    assert client.list_aliases(FunctionName="echo")["Aliases"] == []


WAITERS = (
    "function_exists",
    "function_active",
    "function_active_v2",
    "function_updated",
    "function_updated_v2",
)


@pytest.mark.parametrize("name", WAITERS)
def test_waiters_return(client: Any, name: str) -> None:
    client.get_waiter(name).wait(FunctionName="echo", WaiterConfig={"Delay": 1, "MaxAttempts": 1})


def test_a_waiter_hears_of_a_module_that_failed(client: Any) -> None:
    with pytest.raises(WaiterError, match="terminal failure"):
        client.get_waiter("function_active_v2").wait(
            FunctionName="broken", WaiterConfig={"Delay": 1, "MaxAttempts": 1}
        )
    configuration = client.get_function_configuration(FunctionName="broken")
    assert configuration["State"] == "Failed"
    assert "RuntimeError: at import" in configuration["StateReason"]


def test_a_function_that_is_changed_is_another_revision(tmp_path: Path) -> None:
    folder = tmp_path / "changing"
    folder.mkdir()
    (folder / "growing.py").write_text("import no_such_module_anywhere\n")
    with Stack(functions_dir=folder) as stack:
        client = client_of(stack)

        def described() -> Any:
            return client.get_function_configuration(FunctionName="growing")

        broken = described()
        assert broken["State"] == "Failed"
        whole = "from runtime import function\n\n\n@function\ndef growing(event):\n    return 1\n"
        (folder / "growing.py").write_text(whole)
        stack.wait_for(lambda: described()["State"] == "Active", "the change")
        first = described()
        (folder / "growing.py").write_text(whole.replace("1", "200"))
        stack.wait_for(lambda: described()["CodeSize"] == first["CodeSize"] + 2, "another change")
        second = described()

        revisions = {one["RevisionId"] for one in (broken, first, second)}
        assert len(revisions) == len({one["CodeSha256"] for one in (broken, first, second)}) == 3
        stack.wait_for(
            lambda: client.invoke(FunctionName="growing")["Payload"].read() == b"200", "its result"
        )


def test_the_aws_command_works(stack: Stack, tmp_path: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_")
    } | {
        "AWS_ENDPOINT_URL_LAMBDA": stack.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
    }

    def aws(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "awscli", "lambda", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    file = tmp_path / "answer"
    ran = aws("invoke", "--function-name", "echo", "--payload", '{"n": 1}', str(file))
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["ExecutedVersion"] == "$LATEST"
    assert json.loads(file.read_text()) == {"n": 1}
    listed = aws("list-functions", "--query", "Functions[].FunctionName")
    assert "echo" in json.loads(listed.stdout)
    unknown = aws("get-function", "--function-name", "nobody")
    assert unknown.returncode != 0
    assert "ResourceNotFoundException" in unknown.stderr
