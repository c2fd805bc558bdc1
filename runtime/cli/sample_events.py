"""Sample events: what other services send to functions, as far as their documentation shows it.

Every builder returns a JSON value. Where a service nests JSON in a text or in base64, so does the
sample. `at` is the time that the event says; ids are random.
"""

import base64
import hashlib
import secrets
import string
import urllib.parse
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

Event = dict[str, Any]

REGION = "us-east-1"
ACCOUNT = "123456789012"
_USER_AGENT = "curl/8.14.1"
_CALLER = "203.0.113.7"
_HOST_SUFFIX = f"execute-api.{REGION}.amazonaws.com"


def s3_put(*, at: datetime, bucket: str, key: str, size: int) -> Event:
    """An object was written. As S3 does, the key is encoded like a form's value."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": REGION,
                "eventTime": _rfc3339_ms(at),
                "eventName": "ObjectCreated:Put",
                "userIdentity": {"principalId": f"AWS:{_upper(21, prefix='AIDA')}"},
                "requestParameters": {"sourceIPAddress": _CALLER},
                "responseElements": {
                    "x-amz-request-id": _upper(16),
                    "x-amz-id-2": _base64(secrets.token_bytes(57)),
                },
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": str(uuid.uuid4()),
                    "bucket": {
                        "name": bucket,
                        "ownerIdentity": {"principalId": _upper(14, prefix="A")},
                        "arn": f"arn:aws:s3:::{bucket}",
                    },
                    "object": {
                        "key": urllib.parse.quote_plus(key, safe="/"),
                        "size": size,
                        "eTag": secrets.token_hex(16),
                        "sequencer": secrets.token_hex(9).upper(),
                    },
                },
            }
        ]
    }


def sqs(*, at: datetime, queue: str, body: str, count: int) -> Event:
    """Messages of a queue. A body is a text, whatever is in it."""
    milliseconds = _epoch_ms(at)
    return {
        "Records": [
            {
                "messageId": str(uuid.uuid4()),
                "receiptHandle": _base64(secrets.token_bytes(120)),
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": str(milliseconds - 50),
                    "SenderId": _upper(21, prefix="AIDA"),
                    "ApproximateFirstReceiveTimestamp": str(milliseconds),
                },
                "messageAttributes": {},
                "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
                "awsRegion": REGION,
            }
            for _ in range(count)
        ]
    }


def sns(*, at: datetime, topic: str, message: str, subject: str | None) -> Event:
    """A notification. SNS calls a function for each, so there is one; its message is a text."""
    arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:{topic}"
    subscription = f"{arn}:{uuid.uuid4()}"
    host = f"https://sns.{REGION}.amazonaws.com/"
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "EventVersion": "1.0",
                "EventSubscriptionArn": subscription,
                "Sns": {
                    "Type": "Notification",
                    "MessageId": str(uuid.uuid4()),
                    "TopicArn": arn,
                    "Subject": subject,
                    "Message": message,
                    "Timestamp": _rfc3339_ms(at),
                    "SignatureVersion": "1",
                    "Signature": _base64(secrets.token_bytes(256)),
                    "SigningCertUrl": (
                        f"{host}SimpleNotificationService-{secrets.token_hex(16)}.pem"
                    ),
                    "UnsubscribeUrl": f"{host}?Action=Unsubscribe&SubscriptionArn={subscription}",
                    "MessageAttributes": {},
                },
            }
        ]
    }


def api_gateway_v1(
    *,
    at: datetime,
    method: str,
    path: str,
    query: Sequence[tuple[str, str]],
    headers: Sequence[tuple[str, str]],
    body: str | None,
) -> Event:
    """A request to a REST API with a proxy integration: payload format 1.0."""
    api = _lower(10)
    resource = "/{proxy+}" if path != "/" else "/"
    sent = _sent_headers(f"{api}.{_HOST_SUFFIX}", headers, body)
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": dict(sent) or None,
        "multiValueHeaders": _many(sent),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _many(query) or None,
        "pathParameters": {"proxy": path[1:]} if path != "/" else None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": api,
            "domainName": f"{api}.{_HOST_SUFFIX}",
            "domainPrefix": api,
            "extendedRequestId": _base64(secrets.token_bytes(11)),
            "httpMethod": method,
            "identity": {
                "accessKey": None,
                "accountId": None,
                "caller": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "principalOrgId": None,
                "sourceIp": _CALLER,
                "user": None,
                "userAgent": _USER_AGENT,
                "userArn": None,
            },
            "path": f"/prod{path}",
            "protocol": "HTTP/1.1",
            "requestId": str(uuid.uuid4()),
            "requestTime": _log_time(at),
            "requestTimeEpoch": _epoch_ms(at),
            "resourceId": _lower(6),
            "resourcePath": resource,
            "stage": "prod",
        },
        "body": body,
        "isBase64Encoded": False,
    }


def api_gateway_v2(
    *,
    at: datetime,
    method: str,
    path: str,
    query: Sequence[tuple[str, str]],
    headers: Sequence[tuple[str, str]],
    body: str | None,
) -> Event:
    """A request to an HTTP API, or to a function's URL: payload format 2.0.

    Names that occur twice are joined with commas. What the request does not have is left out.
    """
    api = _lower(10)
    host = f"{api}.{_HOST_SUFFIX}"
    event: Event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": urllib.parse.urlencode(query),
        "headers": _joined((n.lower(), v) for n, v in _sent_headers(host, headers, body)),
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": api,
            "domainName": host,
            "domainPrefix": api,
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": _CALLER,
                "userAgent": _USER_AGENT,
            },
            "requestId": _base64(secrets.token_bytes(11)),
            "routeKey": "$default",
            "stage": "$default",
            "time": _log_time(at),
            "timeEpoch": _epoch_ms(at),
        },
        "isBase64Encoded": False,
    }
    if query:
        event["queryStringParameters"] = _joined(query)
    if body is not None:
        event["body"] = body
    return event


def eventbridge(*, at: datetime, source: str, detail_type: str, detail: Any) -> Event:
    """An event of a bus. Its detail is JSON, not a text."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": _rfc3339_seconds(at),
        "region": REGION,
        "resources": [],
        "detail": detail,
    }


def schedule(*, at: datetime, rule: str) -> Event:
    """A rule of EventBridge with a schedule has fired."""
    return eventbridge(at=at, source="aws.events", detail_type="Scheduled Event", detail={}) | {
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"]
    }


def cloudevent(*, at: datetime, source: str, event_type: str, subject: str, data: Any) -> Event:
    """A CloudEvent 1.0 in the JSON format, structured mode."""
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": source,
        "type": event_type,
        "subject": subject,
        "time": _rfc3339_ms(at),
        "datacontenttype": "application/json",
        "data": data,
    }


def dynamodb(
    *,
    at: datetime,
    table: str,
    change: str,
    key: str,
    item: Mapping[str, Any],
    old_item: Mapping[str, Any],
) -> Event:
    """An item was inserted, modified or removed. `key` names the member that identifies it.

    Items are plain JSON objects; the event has them as typed attribute values. Raises `KeyError`
    if an item has no member `key`.
    """
    identified = old_item if change == "remove" else item
    images: Event = {"Keys": attribute_values({key: identified[key]})}
    if change != "remove":
        images["NewImage"] = attribute_values(item)
    if change != "insert":
        images["OldImage"] = attribute_values(old_item)
    created = _rfc3339_ms(at - timedelta(days=30)).rstrip("Z")
    return {
        "Records": [
            {
                "eventID": secrets.token_hex(16),
                "eventName": change.upper(),
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": REGION,
                "dynamodb": {
                    "ApproximateCreationDateTime": _epoch_ms(at) // 1000,
                    **images,
                    "SequenceNumber": _digits(21),
                    "SizeBytes": len(repr(images)),
                    "StreamViewType": "NEW_AND_OLD_IMAGES",
                },
                "eventSourceARN": (
                    f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}/stream/{created}"
                ),
            }
        ]
    }


def kinesis(*, at: datetime, stream: str, data: str, partition_key: str, count: int) -> Event:
    """Records of a stream. Their data are base64."""
    sequence = int("4" + _digits(55))
    return {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": partition_key,
                    "sequenceNumber": str(sequence + number),
                    "data": _base64(data.encode()),
                    "approximateArrivalTimestamp": _epoch_ms(at) / 1000,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"shardId-000000000000:{sequence + number}",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": f"arn:aws:iam::{ACCOUNT}:role/function-role",
                "awsRegion": REGION,
                "eventSourceARN": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{stream}",
            }
            for number in range(count)
        ]
    }


def attribute_values(item: Mapping[str, Any]) -> Event:
    """Return a JSON object as DynamoDB writes items: every value with its type."""
    return {name: _attribute_value(value) for name, value in item.items()}


def _attribute_value(value: Any) -> Event:
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case list():
            return {"L": [_attribute_value(each) for each in value]}
        case dict():
            return {"M": attribute_values(value)}
    return {"N": str(value)}


def _sent_headers(
    host: str, headers: Sequence[tuple[str, str]], body: str | None
) -> list[tuple[str, str]]:
    """Return what a client sends by itself, unless it is among `headers`, and `headers`."""
    own = [
        ("Accept", "*/*"),
        *([("Content-Type", "application/json")] if body is not None else []),
        ("Host", host),
        ("User-Agent", _USER_AGENT),
        ("X-Amzn-Trace-Id", f"Root=1-{secrets.token_hex(4)}-{secrets.token_hex(12)}"),
        ("X-Forwarded-For", _CALLER),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Proto", "https"),
    ]
    given = {name.lower() for name, _ in headers}
    return [(name, value) for name, value in own if name.lower() not in given] + list(headers)


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: ",".join(values) for name, values in _many(pairs).items()}


def _many(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


def _rfc3339_ms(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rfc3339_seconds(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _log_time(at: datetime) -> str:
    """Return a time as access logs write it: 23/Nov/2026:05:22:10 +0000, in any locale."""
    _, day, month, year, clock, zone = format_datetime(at.astimezone(UTC)).split(" ")
    return f"{day}/{month}/{year}:{clock} {zone}"


def _epoch_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _upper(length: int, *, prefix: str = "") -> str:
    return prefix + _some(string.ascii_uppercase + string.digits, length - len(prefix))


def _lower(length: int) -> str:
    return _some(string.ascii_lowercase + string.digits, length)


def _digits(length: int) -> str:
    return _some(string.digits, length)


def _some(characters: str, length: int) -> str:
    return "".join(secrets.choice(characters) for _ in range(length))
