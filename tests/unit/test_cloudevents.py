"""CloudEvents as the specification has them.

Section numbers are those of `bindings/http-protocol-binding.md` (HTTP) and
`formats/json-format.md` (JSON), version 1.0.2.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent as SDKEvent
from hypothesis import given
from hypothesis import strategies as st

from runtime.cloudevents import (
    CloudEvent,
    Mode,
    from_headers,
    from_json,
    header_value,
    members_of_batch,
    mode_of,
)
from runtime.errors import MalformedEventError, MalformedJSONError, UnknownEventFormatError

MINIMAL = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def headers(attributes: Mapping[str, str], **others: str) -> list[tuple[bytes, bytes]]:
    named = [(f"ce-{name}", value) for name, value in attributes.items()]
    named += [(name.replace("_", "-"), value) for name, value in others.items()]
    return [(name.encode(), value.encode()) for name, value in named]


def binary(
    body: bytes = b"", content_type: str | None = None, **attributes: str | None
) -> CloudEvent:
    given = {k: v for k, v in (MINIMAL | attributes).items() if v is not None}
    others = {} if content_type is None else {"content_type": content_type}
    return from_headers(headers(given, **others), body)


def structured(**members: Any) -> CloudEvent:
    return from_json(json.dumps(MINIMAL | members).encode())


def shown(event: CloudEvent) -> Any:
    return json.loads(event.to_json())


# What cloudevents/conformance asks in features/http-protocol-binding.feature.
SCENARIO_ATTRIBUTES = {
    "specversion": "1.0",
    "type": "com.example.someevent",
    "time": "2018-04-05T03:56:24Z",
    "id": "1234-1234-1234",
    "source": "/mycontext/subcontext",
}


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_conformance_binary_content_mode(content_type: str) -> None:
    """HTTP 3.1.1: "the HTTP Content-Type header value corresponds to (MUST be populated from or
    written to) the CloudEvents datacontenttype attribute"; 3.1.2: "The data byte-sequence is used
    as the HTTP message body."
    """
    sent = [
        (b"Host", b"example.com"),
        *headers(SCENARIO_ATTRIBUTES, **{"Content-Type": content_type}),
        (b"Content-Length", b"33"),
    ]
    body = b'{\n    "message": "Hello World!"\n}\n'

    assert mode_of(content_type, has_specversion=True) is Mode.BINARY
    event = from_headers(sent, body)

    assert event.attributes == SCENARIO_ATTRIBUTES | {"datacontenttype": content_type}
    assert json.loads(event.data or b"") == {"message": "Hello World!"}


@pytest.mark.parametrize(
    "content_type",
    ["application/cloudevents+json", "application/cloudevents+json; charset=utf-8"],
)
def test_conformance_structured_content_mode(content_type: str) -> None:
    """HTTP 3.2.2: "The event metadata and data is then rendered in accordance with the event
    format specification and the resulting data becomes the HTTP message body."
    """
    members = {
        **SCENARIO_ATTRIBUTES,
        "datacontenttype": "application/json",
        "data": {"message": "Hello World!"},
    }

    assert mode_of(content_type, has_specversion=False) is Mode.STRUCTURED
    event = from_json(json.dumps(members, indent=4).encode())

    assert event.attributes == SCENARIO_ATTRIBUTES | {"datacontenttype": "application/json"}
    assert json.loads(event.data or b"") == {"message": "Hello World!"}


@pytest.mark.parametrize(
    ("content_type", "has_specversion", "expected"),
    [
        ("", False, None),
        ("application/json", False, None),
        ("text/plain; x=application/cloudevents+json", False, None),
        ("", True, Mode.BINARY),
        ("application/json", True, Mode.BINARY),
        ("application/cloud", True, Mode.BINARY),
        ("APPLICATION/CloudEvents+JSON", False, Mode.STRUCTURED),
        # 3.2.3: "Implementations MAY include the same HTTP headers as defined for the binary mode"
        ("application/cloudevents+json", True, Mode.STRUCTURED),
        (" application/cloudevents+json ;charset=UTF-8", False, Mode.STRUCTURED),
        ("application/cloudevents-batch+json", False, Mode.BATCHED),
        ("Application/CloudEvents-Batch+json; charset=UTF-8", True, Mode.BATCHED),
    ],
)
def test_the_content_type_says_how_events_are_carried(
    content_type: str, has_specversion: bool, expected: Mode | None
) -> None:
    """HTTP 3: "The receiver of the event can distinguish between the three modes by inspecting the
    Content-Type header value. If the value is prefixed with the CloudEvents media type
    application/cloudevents (matched case-insensitively) ..."
    """
    assert mode_of(content_type, has_specversion=has_specversion) is expected


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents",
        "application/cloudevents+xml",
        "application/cloudevents+avro; charset=utf-8",
        "application/cloudevents-batch",
        "application/cloudevents-batch+xml",
        "application/cloudevents+jsonx",
    ],
)
def test_other_event_formats_are_refused_by_name(content_type: str) -> None:
    with pytest.raises(UnknownEventFormatError, match=content_type.partition(";")[0][12:20]):
        mode_of(content_type, has_specversion=True)


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type"])
@pytest.mark.parametrize("value", [None, ""])
def test_the_four_attributes_are_required(name: str, value: str | None) -> None:
    """spec.md, REQUIRED Attributes: each "MUST be a non-empty string"."""
    for read in (binary, structured):
        with pytest.raises(MalformedEventError, match=name):
            read(**{name: value})


@pytest.mark.parametrize("version", ["0.3", "1", "1.0.2", "2.0", "1.1", " 1.0.", "1.0-rc1"])
def test_other_versions_of_the_specification_are_refused(version: str) -> None:
    for read in (binary, structured):
        with pytest.raises(MalformedEventError, match=r"expected 1\.0; got"):
            read(specversion=version)


@pytest.mark.parametrize(
    "name", ["Upper", "with-dash", "with_underscore", "", "\u00e9", "a.b", "data_"]
)
def test_attribute_names_are_lower_case_letters_and_digits(name: str) -> None:
    """spec.md, Naming Conventions: "MUST consist of lower-case letters [a-z] or digits [0-9]"."""
    with pytest.raises(MalformedEventError, match="no attribute's name"):
        structured(**{name: "x"})
    if name != "Upper":  # names of headers have no case
        with pytest.raises(MalformedEventError, match="no attribute's name"):
            binary(**{name: "x"})


@pytest.mark.parametrize("name", ["datacontenttype", "DataContentType", "data"])
def test_data_and_its_type_are_no_headers_with_the_prefix(name: str) -> None:
    """HTTP 3.1.1: "a ce-datacontenttype HTTP header MUST NOT also be present in the message"."""
    with pytest.raises(MalformedEventError, match="not allowed"):
        binary(b"{}", "application/json", **{name: "application/json"})


def test_a_header_that_is_there_twice_is_refused() -> None:
    """spec.md: "Each context attribute MUST only appear at most once in a CloudEvent"."""
    with pytest.raises(MalformedEventError, match="ce-id is there twice"):
        from_headers([*headers(MINIMAL), (b"CE-ID", b"2")], b"")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"plain", "plain"),
        (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \u20ac \U0001f600"),
        (b"euro%20%e2%82%ac", "euro \u20ac"),
        (b"%41%62", "Ab"),  # "unnecessarily percent-encoded MUST be accepted"
        (b"100%25", "100%"),
        (b"%2541", "%41"),  # "A single round of percent-decoding"
        (b'"Euro \xe2\x82\xac"', "Euro \u20ac"),  # of versions before 1.0.1
        (b'"a \\"b\\" \\\\c"', 'a "b" \\c'),
        (b'"%20"', " "),  # quotes first, then percents
        (b'"a', '"a'),
        (b'a"b"', 'a"b"'),
        (b'""', ""),
        (b"100%", "100%"),
        (b"%zz", "%zz"),
        (b"a+b", "a+b"),
        (b" padded\t", "padded"),
    ],
)
def test_header_values(value: bytes, expected: str) -> None:
    """HTTP 3.1.3.2: "any HTTP header value MUST first be unescaped with respect to double-quoted
    strings ... A single round of percent-decoding MUST then be performed".
    """
    assert header_value("x", value) == expected


@pytest.mark.parametrize("value", [b"%C0%A0", b"%ff", b"%E2%82", b"%ED%A0%80", b"\xff", b'"%C0"'])
def test_header_values_that_are_no_utf8_are_refused(value: bytes) -> None:
    """HTTP 3.1.3.2: "encoded byte sequences which are invalid in UTF-8 MUST be rejected. (For
    example, "%C0%A0" is an overlong encoding of U+0020, and MUST be rejected.)"
    """
    with pytest.raises(MalformedEventError, match="ce-subject is not UTF-8"):
        header_value("subject", value)


# Whatever a String may hold: no control characters, no halves of pairs, no noncharacters.
ALLOWED = st.characters(exclude_categories=("Cs", "Cc")).filter(
    lambda c: not 0xFDD0 <= ord(c) <= 0xFDEF and ord(c) & 0xFFFE != 0xFFFE
)
TEXTS = st.text(ALLOWED, min_size=1)


@given(TEXTS)
def test_what_is_encoded_as_specified_is_decoded_to_the_same(text: str) -> None:
    unreserved = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")
    least = quote(text, safe=unreserved)
    most = "".join(f"%{byte:02x}" for byte in text.encode())

    assert least.isascii()
    assert header_value("x", least.encode()) == text
    assert header_value("x", most.encode()) == text


@given(TEXTS)
def test_what_older_versions_quoted_is_decoded_to_the_same(text: str) -> None:
    escaped = text.replace("%", "%25").replace("\\", "\\\\").replace('"', '\\"')

    assert header_value("x", f'"{escaped}"'.encode()) == text


@given(st.binary(max_size=60))
def test_no_header_value_is_decoded_to_anything_but_text(value: bytes) -> None:
    try:
        text = header_value("x", value)
    except MalformedEventError:
        return
    text.encode()


ATTRIBUTES = st.fixed_dictionaries(
    {"id": TEXTS, "source": TEXTS, "type": TEXTS, "specversion": st.just("1.0")},
    optional={"subject": TEXTS, "extension1": TEXTS},
)
TEXT = st.text(st.characters(codec="utf-8"))
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT
# In binary mode the SDK writes as JSON only what is an object.
DATA = st.dictionaries(TEXT, SCALARS | st.lists(SCALARS, max_size=3))


@given(ATTRIBUTES, DATA)
def test_the_official_sdk_is_understood_in_both_modes(attributes: Any, data: Any) -> None:
    sent = SDKEvent({**attributes, "datacontenttype": "application/json"}, data)
    in_headers, in_body = to_binary_event(sent), to_structured_event(sent)
    pairs = [(name.encode(), value.encode()) for name, value in in_headers.headers.items()]

    assert mode_of(in_headers.headers["content-type"], has_specversion=True) is Mode.BINARY
    assert mode_of(in_body.headers["content-type"], has_specversion=False) is Mode.STRUCTURED
    one, other = from_headers(pairs, in_headers.body), from_json(in_body.body)

    assert one.attributes == other.attributes
    assert attributes.items() <= one.attributes.items()
    assert one.key == other.key
    assert json.loads(one.data or b"") == json.loads(other.data or b"") == data


@given(st.binary(min_size=1))
def test_the_official_sdk_is_understood_with_bytes(data: bytes) -> None:
    sent = SDKEvent({**MINIMAL, "datacontenttype": "application/octet-stream"}, data)
    in_headers, in_body = to_binary_event(sent), to_structured_event(sent)
    pairs = [(name.encode(), value.encode()) for name, value in in_headers.headers.items()]
    events = from_headers(pairs, in_headers.body), from_json(in_body.body)

    for event in events:
        assert event.data is None
        assert base64.b64decode(event.data_base64 or "") == data


@pytest.mark.parametrize(
    ("body", "content_type", "members"),
    [
        (b'{"a": 1}', "application/json", {"data": {"a": 1}}),
        (b'{"a": 1}', "application/vnd.x+json; v=2", {"data": {"a": 1}}),
        (b"null", "application/json", {"data": None}),
        (b"", "application/json", {}),
        (b"", "image/png", {}),
        (b"<a/>", "application/xml", {"data": "<a/>"}),
        (b"<a/>", "application/atom+xml", {"data": "<a/>"}),
        (b"h\xc3\xa9", "text/plain", {"data": "h\u00e9"}),
        (b"h\xe9", "text/plain", {"data_base64": "aOk="}),
        (b"he", "text/plain; charset=latin1", {"data_base64": "aGU="}),
        (b"he", 'text/plain; charset="UTF-8"', {"data": "he"}),
        (b"\x00", "image/png", {"data_base64": "AA=="}),
        (b'{"a": 1}', "application/octet-stream", {"data_base64": "eyJhIjogMX0="}),
        (b"a=1", "application/x-www-form-urlencoded", {"data": "a=1"}),
    ],
)
def test_data_by_its_type(body: bytes, content_type: str, members: dict[str, Any]) -> None:
    """JSON 3.1.1: bytes are base64, a JSON type is a JSON value, all else is a text."""
    event = binary(body, content_type)

    assert shown(event) == MINIMAL | {"datacontenttype": content_type} | members


@pytest.mark.parametrize("content_type", [None, "", "application/x-www-form-urlencoded"])
def test_data_without_a_type_is_json_if_it_can_be(content_type: str | None) -> None:
    assert shown(binary(b'{"a": 1}', content_type)) == MINIMAL | {"data": {"a": 1}}
    assert binary(b"", content_type).attributes == MINIMAL
    assert binary(b"\xff", content_type).data_base64 == "/w=="


@pytest.mark.parametrize("body", [b"{", b"\xff", b"'a'", b"[" * 200_000 + b"]" * 200_000])
def test_data_that_is_said_to_be_json_has_to_be(body: bytes) -> None:
    with pytest.raises((MalformedJSONError, MalformedEventError)):
        binary(body, "application/json")
    encoded = base64.b64encode(body).decode()
    with pytest.raises((MalformedJSONError, MalformedEventError)):
        structured(datacontenttype="application/json", data_base64=encoded)


def test_bytes_that_are_said_to_be_json_are() -> None:
    """JSON 3.1.2: "The deserializer MAY further interpret this binary data according to the
    datacontenttype. If the datacontenttype attribute is absent, the decoding MUST NOT make an
    assumption of JSON-formatted data".
    """
    encoded = base64.b64encode(b'{ "xyz": 123 }').decode()

    assert structured(datacontenttype="text/JSON", data_base64=encoded).data == b'{ "xyz": 123 }'
    assert structured(data_base64=encoded).data is None
    assert shown(structured(data_base64=encoded)) == MINIMAL | {"data_base64": encoded}


@pytest.mark.parametrize(
    "value", [3, True, {}, ["YQ=="], "Y", "Y!==", "YQ", "YQ==\n", "\u00e9", "-_-_"]
)
def test_data_base64_is_base64(value: Any) -> None:
    with pytest.raises(MalformedEventError, match="data_base64"):
        structured(data_base64=value)


def test_data_excludes_data_base64() -> None:
    """JSON 3.1.1: "the presence of the data and data_base64 members is mutually exclusive"."""
    with pytest.raises(MalformedEventError, match="exclude each other"):
        structured(data=None, data_base64="YQ==")
    assert structured(data=1, data_base64=None).data == b"1"


def test_null_is_no_attribute_and_is_data() -> None:
    """JSON 2.2: an attribute that is null "MUST be treated as the equivalent of unset or omitted";
    3.1.1: "data MAY have a value of null, representing an explicit null payload".
    """
    event = structured(subject=None, time=None, other=None, data=None)

    assert event.attributes == MINIMAL
    assert event.data == b"null"
    assert structured().data is None


def test_data_stays_as_it_was_written() -> None:
    numbers = b'[1.0, 1e2, 0.1000000000000000055511151231257827, 9007199254740993, "\\u00e9"]'
    body = b'{"specversion":"1.0","id":"1","source":"/s","type":"t", "data" : %b}' % numbers

    assert from_json(body).data == numbers
    assert numbers in from_json(body).to_json()
    long = b"1" * 6_000
    assert from_json(body.replace(numbers, long)).data == long


def test_extensions_may_be_texts_integers_and_booleans() -> None:
    event = structured(sampled=True, hops=-(2**31), most=2**31 - 1, empty="", traceparent="00-x")

    assert shown(event) == MINIMAL | {
        "sampled": True,
        "hops": -(2**31),
        "most": 2**31 - 1,
        "empty": "",
        "traceparent": "00-x",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("extension", 1.5),
        ("extension", {}),
        ("extension", []),
        ("extension", 2**31),
        ("extension", -(2**31) - 1),
        ("extension", int("9" * 4_000)),
        ("id", 5),
        ("id", True),
        ("subject", ""),
        ("subject", 5),
        ("dataschema", ""),
        ("datacontenttype", ""),
        ("datacontenttype", 1),
        ("time", 5),
        *(("time", text) for text in ("", "today", "2018-04-05", "2018-04-05T03:56:24")),
        *(("time", f"2018-{rest}Z") for rest in ("02-30T00:00:00", "13-01T00:00:00")),
        *(("time", f"2018-01-01T{rest}") for rest in ("24:00:00Z", "00:00:61Z", "00:00:00+24:00")),
        ("time", "2018-01-01T00:00:00.Z"),
        ("time", "\u0662018-01-01T00:00:00Z"),
        *(
            ("id", f"a{bad}")
            for bad in ("\n", "\x00", "\x7f", "\x9f", "\ufdd0", "\ufffe", "\U0010ffff")
        ),
    ],
)
def test_attributes_that_the_specification_does_not_have(name: str, value: Any) -> None:
    with pytest.raises(MalformedEventError, match=f"^{name}: "):
        structured(**{name: value})
    if isinstance(value, str) and name != "datacontenttype":
        with pytest.raises(MalformedEventError, match=f"^{name}: "):
            binary(**{name: quote(value)})


@pytest.mark.parametrize(
    "time",
    [
        "2018-04-05T03:56:24Z",
        "2018-04-05t03:56:24.123456789z",
        "2016-12-31T23:59:60Z",
        "2020-02-29T00:00:00-23:59",
    ],
)
def test_times_are_kept_as_they_are_written(time: str) -> None:
    assert structured(time=time).attributes["time"] == time
    assert binary(time=time).attributes["time"] == time


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"a"',
        b"{",
        b"{}",
        b'{"id": "\xff"}',
        b'{"specversion":"1.0","id":"\\ud800","source":"/s","type":"t"}',
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","n":1e999}',
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","n":' + b"9" * 9_000 + b"}",
        b'{"data":' + b"[" * 90_000 + b"]" * 90_000 + b"}",
        b"\xef\xbb\xbf{}",
    ],
)
def test_bodies_that_are_no_event(body: bytes) -> None:
    with pytest.raises((MalformedEventError, MalformedJSONError)):
        from_json(body)


@given(st.binary(max_size=200) | st.from_regex(rb'\{"(id|data|data_base64)":.{0,20}\}'))
def test_no_body_does_anything_else_than_to_be_refused(body: bytes) -> None:
    with pytest.raises((MalformedEventError, MalformedJSONError)):
        from_json(body)


VALUES = SCALARS | st.floats() | st.lists(SCALARS, max_size=2)
MEMBERS = st.dictionaries(
    st.sampled_from(["id", "source", "type", "time", "subject", "data", "data_base64", "x", "Y"]),
    VALUES,
)


@given(MEMBERS)
def test_an_event_is_read_as_it_was_written_or_refused(members: dict[str, Any]) -> None:
    try:
        event = structured(**members)
    except (MalformedEventError, MalformedJSONError):
        return
    assert from_json(event.to_json()) == event
    assert len(event.key) > 64


@given(
    st.lists(st.tuples(st.sampled_from([b"ce-id", b"ce-x", b"ce-time", b"x"]), st.binary())),
    st.sampled_from([b"", b"text/plain", b"application/json", b"image/png", b"\xff/\xff"]),
    st.binary(),
)
def test_whatever_comes_in_headers_is_an_event_or_refused(
    pairs: list[tuple[bytes, bytes]], content_type: bytes, body: bytes
) -> None:
    try:
        event = from_headers([*headers(MINIMAL), (b"content-type", content_type), *pairs], body)
    except (MalformedEventError, MalformedJSONError):
        return
    assert from_json(event.to_json()).attributes == event.attributes


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[", b"[1,]", b'["\xff"]'])
def test_bodies_that_are_no_batch(body: bytes) -> None:
    with pytest.raises((MalformedEventError, MalformedJSONError)):
        members_of_batch(body)


def test_a_batch_is_an_array_of_events() -> None:
    """JSON 4.1: "The outermost JSON element is a JSON Array, which contains as elements CloudEvents
    rendered in accordance with the JSON event format specification."
    """
    assert members_of_batch(b"[]") == []
    first, second = members_of_batch(b' [ {"id" : 1.0},\n 7 ]')
    assert (first, second) == (b'{"id" : 1.0}', b"7")


def test_duplicates_have_source_and_id_in_common() -> None:
    """spec.md, id: "Consumers MAY assume that Events with identical source and id are
    duplicates."
    """
    first = structured(id="1", source="/s", type="a", data=1)

    assert structured(id="1", source="/s", type="b", data=2).key == first.key
    assert binary(b"{}", id="1", source="/s").key == first.key
    others = [
        structured(id="2", source="/s"),
        structured(id="1", source="/t"),
        structured(id="s1", source="/"),
        structured(id="1", source="/s "),
    ]
    assert len({event.key for event in (first, *others)}) == 5


def test_no_caller_can_choose_an_events_key() -> None:
    assert not structured().key.isascii()
