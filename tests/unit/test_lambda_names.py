"""How functions are named in the Lambda API, and what operations it has."""

from pathlib import Path

import botocore.session
import pytest

from runtime.web.aws import executions, names, operations
from runtime.web.aws.errors import LambdaError, serves
from runtime.web.aws.names import Caller, Target, target_of

MODEL = botocore.session.get_session().get_service_model("lambda")
NOBODY = Caller("000000000000", None)
SIGNED = Caller("000000000000", "eu-west-1")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("fib", ("fib", None, "000000000000", "us-east-1")),
        ("fib:PROD", ("fib", "PROD", "000000000000", "us-east-1")),
        ("function:fib", ("fib", None, "000000000000", "us-east-1")),
        ("123456789012", ("123456789012", None, "000000000000", "us-east-1")),
        ("123456789012:fib", ("fib", None, "123456789012", "us-east-1")),
        ("123456789012:function:fib:7", ("fib", "7", "123456789012", "us-east-1")),
        (
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:fib:$LATEST",
            ("fib", "$LATEST", "123456789012", "us-gov-west-1"),
        ),
    ],
)
def test_names_are_taken_apart(given: str, expected: tuple[str, str | None, str, str]) -> None:
    assert target_of(given, None, NOBODY) == Target(*expected)


@pytest.mark.parametrize(
    "given",
    ["", "a b", "fib:", "fib:a:b", "fib\n", "a/b", "f\u00fcb", "arn:aws:s3:::bucket", "x" * 257],
)
def test_other_names_are_none(given: str) -> None:
    with pytest.raises(LambdaError) as caught:
        target_of(given, None, NOBODY)
    assert (caught.value.code, caught.value.status) == ("ValidationException", 400)


def test_arns_are_written_as_they_were_meant() -> None:
    assert target_of("fib", "$LATEST", SIGNED).arn == (
        "arn:aws:lambda:eu-west-1:000000000000:function:fib:$LATEST"
    )
    assert target_of("fib:a", "a", SIGNED).plain_arn == (
        "arn:aws:lambda:eu-west-1:000000000000:function:fib"
    )


def test_the_patterns_are_those_of_the_model() -> None:
    shapes = {
        "NamespacedFunctionName": names._NAME_PATTERN,
        "NumericLatestPublishedOrAliasQualifier": names._QUALIFIER_PATTERN,
        "DurableExecutionName": executions._NAME_PATTERN,
        # Functions of ours may have dots in their names.
        "DurableExecutionArn": executions._ARN_PATTERN.replace(r"[a-zA-Z0-9_\.-]", "[a-zA-Z0-9_-]"),
    }
    for shape, pattern in shapes.items():
        assert MODEL.shape_for(shape).metadata["pattern"] == pattern


def test_the_operations_are_those_of_the_model() -> None:
    expected = {}
    for name in MODEL.operation_names:
        http = MODEL.operation_model(name).http
        expected[name] = (http["method"], http["requestUri"])
    ours = {
        one.name: (one.method, one.path + (f"?{one.query}" if one.query else ""))
        for one in operations.OPERATIONS
    }

    assert ours == expected
    assert len(operations.OPERATIONS) == len(ours)


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_every_operation_is_found_by_its_path(name: str) -> None:
    (operation,) = [one for one in operations.OPERATIONS if one.name == name]
    arn = "arn:aws:lambda:us-east-1:000000000000:function:fib:$LATEST/durable-execution/a/b"
    path = operation.path
    for parameter in ("Resource", "ResourceArn", "DurableExecutionArn"):
        path = path.replace(f"{{{parameter}}}", arn)
    path = path.replace("{", "").replace("}", "")

    for spelled in (path, f"{path}/"):
        asked = operations.find(operation.method, spelled, f"a=b&{operation.query}")
        assert asked is not None
        assert asked.operation is operation
    assert serves(path)
    assert operation.method in operations.methods_of(path)


def test_other_paths_are_not_awss() -> None:
    for path in ("/functions/2015-03-31/functions", "/2015-03-31", "/2015-3-31/functions", "/"):
        assert not serves(path)
    assert operations.find("GET", "/2015-03-31/functions/a/b/c", "") is None


def test_the_documentation_names_every_operation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
    for operation in operations.OPERATIONS:
        assert f"`{operation.name}`" in text
