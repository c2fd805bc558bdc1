import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runtime.cli import sample_events
from runtime.cli.__main__ import eyas

AT = datetime(2026, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)
KINDS = (
    "api-gateway",
    "cloudevent",
    "dynamodb",
    "eventbridge",
    "kinesis",
    "s3-put",
    "schedule",
    "sns",
    "sqs",
)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(eyas, ["event", *arguments])


def event(*arguments: str) -> Any:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def refusal(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit)
    return result.output


def test_alone_it_lists_the_kinds_a_line_each() -> None:
    result = run()

    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert tuple(line.split()[0] for line in lines) == KINDS
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_defaults_help_and_members_that_can_be_set(kind: str) -> None:
    made = event(kind)
    name = next(iter(made))

    assert event(kind, "--set", f"{name}=[1, null]")[name] == [1, None]
    assert event(kind) != made, "ids are random"
    assert run(kind, "--help").exit_code == 0


def test_s3_encodes_the_key_like_a_form() -> None:
    (record,) = event("s3-put", "--bucket", "b", "--key", "a b/ü+.txt", "--size", "7")["Records"]

    assert record["s3"]["bucket"]["arn"] == "arn:aws:s3:::b"
    assert record["s3"]["object"]["key"] == "a+b/%C3%BC%2B.txt"
    assert record["s3"]["object"]["size"] == 7
    assert record["eventName"] == "ObjectCreated:Put"


def test_an_sqs_body_is_a_text_with_its_digest() -> None:
    body = '{"a":1}'
    records = event("sqs", "--body", body, "--count", "3", "--queue", "orders")["Records"]

    assert [one["body"] for one in records] == [body] * 3
    assert len({one["messageId"] for one in records}) == 3
    first = records[0]
    assert first["md5OfBody"] == hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    assert first["eventSourceARN"].endswith(":orders")
    assert all(isinstance(value, str) for value in first["attributes"].values())


def test_an_sns_message_is_a_text_and_subscriptions_belong_to_the_topic() -> None:
    (record,) = event("sns", "--message", "[1]", "--topic", "t", "--subject", "s")["Records"]

    assert (record["Sns"]["Message"], record["Sns"]["Subject"]) == ("[1]", "s")
    assert record["EventSubscriptionArn"].startswith(record["Sns"]["TopicArn"] + ":")
    assert event("sns")["Records"][0]["Sns"]["Subject"] is None


def test_an_http_request_in_format_2_joins_what_comes_twice_and_leaves_out_what_is_not_there() -> (
    None
):
    made = event(
        *("api-gateway", "--path", "orders", "--query", "a=1", "--query", "a=x y", "--body", "{}"),
        *("--header", "X-A=1", "--header", "x-a=2", "--header", "content-type=text/plain"),
    )

    assert made["version"] == "2.0"
    assert made["rawPath"] == made["requestContext"]["http"]["path"] == "/orders"
    assert made["rawQueryString"] == "a=1&a=x+y"
    assert made["queryStringParameters"] == {"a": "1,x y"}
    assert made["headers"]["x-a"] == "1,2"
    assert made["headers"]["content-type"] == "text/plain"
    assert made["requestContext"]["http"]["method"] == "POST"
    assert made["body"] == "{}"
    assert not {"body", "queryStringParameters"} & set(event("api-gateway"))


def test_an_http_request_in_format_1_has_lists_beside_the_last_values() -> None:
    made = event(
        *("api-gateway", "--format", "1.0", "--method", "put", "--path", "/a/b"),
        *("--query", "a=1", "--query", "a=2"),
    )

    assert (made["httpMethod"], made["path"], made["resource"]) == ("PUT", "/a/b", "/{proxy+}")
    assert made["pathParameters"] == {"proxy": "a/b"}
    assert made["queryStringParameters"] == {"a": "2"}
    assert made["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert set(made["headers"]) == set(made["multiValueHeaders"])
    bare = event("api-gateway", "--format", "1.0")
    assert (bare["body"], bare["queryStringParameters"], bare["pathParameters"]) == (None,) * 3


def test_eventbridge_and_cloudevents_carry_json_and_not_texts() -> None:
    assert event("eventbridge", "--detail", '{"a": 1}')["detail"] == {"a": 1}
    assert event("eventbridge", "--detail-type", "X")["detail-type"] == "X"
    assert event("cloudevent", "--data", "[1]", "--type", "t")["data"] == [1]
    assert event("cloudevent")["specversion"] == "1.0"


def test_a_schedule_names_its_rule() -> None:
    made = event("schedule", "--rule", "nightly")

    assert (made["source"], made["detail-type"]) == ("aws.events", "Scheduled Event")
    assert made["resources"][0].endswith(":rule/nightly")
    assert made["detail"] == {}


@pytest.mark.parametrize(
    ("change", "images"),
    [("insert", {"NewImage"}), ("modify", {"NewImage", "OldImage"}), ("remove", {"OldImage"})],
)
def test_dynamodb_has_the_images_that_its_change_has(change: str, images: set[str]) -> None:
    (record,) = event("dynamodb", "--change", change)["Records"]

    assert record["eventName"] == change.upper()
    assert images == {name for name in record["dynamodb"] if name.endswith("Image")}
    assert record["dynamodb"]["Keys"] == {"id": {"S": "1001"}}


def test_dynamodb_writes_every_value_with_its_type() -> None:
    item = {"id": 7, "a": [True, None, 1.5], "b": {"c": "d"}}
    (record,) = event("dynamodb", "--item", json.dumps(item))["Records"]

    assert record["dynamodb"]["NewImage"] == {
        "id": {"N": "7"},
        "a": {"L": [{"BOOL": True}, {"NULL": True}, {"N": "1.5"}]},
        "b": {"M": {"c": {"S": "d"}}},
    }
    assert record["dynamodb"]["Keys"] == {"id": {"N": "7"}}


def test_kinesis_data_are_base64_and_sequence_numbers_grow() -> None:
    records = event("kinesis", "--data", "ü", "--count", "2", "--stream", "s")["Records"]

    assert [base64.b64decode(one["kinesis"]["data"]).decode() for one in records] == ["ü", "ü"]
    first, second = (int(one["kinesis"]["sequenceNumber"]) for one in records)
    assert second == first + 1
    assert records[0]["eventID"].endswith(records[0]["kinesis"]["sequenceNumber"])


def test_times_are_those_that_were_given_and_the_command_gives_the_present_one() -> None:
    elsewhere = AT.astimezone(tz=None)
    http = sample_events.api_gateway_v2(
        at=elsewhere, method="GET", path="/", query=[], headers=[], body=None
    )
    assert http["requestContext"]["time"] == "03/Feb/2026:04:05:06 +0000"
    assert http["requestContext"]["timeEpoch"] == 1770091506789
    put = sample_events.s3_put(at=elsewhere, bucket="b", key="k", size=0)
    assert put["Records"][0]["eventTime"] == "2026-02-03T04:05:06.789Z"
    assert sample_events.schedule(at=elsewhere, rule="r")["time"] == "2026-02-03T04:05:06Z"

    before = datetime.now(UTC) - timedelta(seconds=1)
    assert datetime.fromisoformat(event("cloudevent")["time"]) > before


def test_set_changes_members_of_objects_and_lists_in_order() -> None:
    made = event(
        *("sqs", "--count", "2", "--set", 'Records.1.body="x"'),
        *("--set", 'Records.0.attributes.ApproximateReceiveCount="2"'),
        *("--set", "Records.0.messageAttributes.kind={}"),
        *("--set", 'Records.0.messageAttributes.kind.stringValue="a=b"'),
    )

    assert made["Records"][1]["body"] == "x"
    assert made["Records"][0]["attributes"]["ApproximateReceiveCount"] == "2"
    assert made["Records"][0]["messageAttributes"] == {"kind": {"stringValue": "a=b"}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("Records.0.bdy=1", "'Records.0' has no member 'bdy'; did you mean body"),
        ("Record=1", "the event has no member 'Record'; did you mean Records?"),
        ("zzz=1", "the event has no member 'zzz'; it has Records"),
        ("Records.1.body=1", "'Records' is a list of 1; expected a number from 0, not '1'"),
        ("Records.-1.body=1", "expected a number from 0, not '-1'"),
        ("Records.0.body.a=1", "'Records.0.body' is a text, which has no members"),
        ("Records.0.body=x", "'x' is not JSON"),
        ("Records.0.body=", "'' is not JSON"),
        ("Records.0.body", "expected PATH=JSON"),
        ("=1", "expected PATH=JSON"),
    ],
)
def test_set_says_what_is_wrong(change: str, reason: str) -> None:
    output = refusal("sqs", "--set", change)

    assert f"--set {change}: " in output
    assert reason in output


def test_errors_name_what_was_probably_meant() -> None:
    assert re.search(r"No such command 's3put'.*s3-put", refusal("s3put"))
    assert "--bucket" in refusal("s3-put", "--buket", "b")
    assert "expected {...}" in refusal("dynamodb", "--item", "[1]")
    assert "--item has no member 'nr' (--key)" in refusal("dynamodb", "--key", "nr")
    assert "is not JSON" in refusal("eventbridge", "--detail", "{")
    assert "expected NAME=VALUE" in refusal("api-gateway", "--query", "a")
    assert "--count" in refusal("sqs", "--count", "0")
    assert "expected arguments in UTF-8" in refusal("sqs", "--body", "\udcff")
