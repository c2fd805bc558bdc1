"""The pure rules of the web edge: preferences, keys, delays, foreign sites."""

import falcon
import pytest

from runtime.web import guard, prefer, terms


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("wait=5", 5),
        ("WAIT = 5", 5),
        ('wait="5"', 5),
        ("respond-async, wait=5", 5),
        ("wait=5;foo=bar", 5),
        ("wait=3, wait=9", 3),
        ("wait=100", 60),
        ("wait=0", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait", None),
        ("await=5", None),
        ('note="a, wait=5"', None),
        ("wait=9999999999999999", None),
        ('note="a \\" , wait=5", wait=7', 7),
        ('"' + '\\"' * 400 + ", wait=5", None),
        ("a" * 1000 + ", wait=5", None),
    ],
)
def test_wait_preferences(header: str | None, expected: int | None) -> None:
    assert prefer.wait_seconds(header, longest=60) == expected


@pytest.mark.parametrize(
    ("host", "foreign"),
    [
        (None, False),
        ("localhost", False),
        ("LOCALHOST:8000", False),
        ("127.0.0.1:8000", False),
        ("192.168.1.5", False),
        ("[::1]:8000", False),
        ("[fe80::1]", False),
        ("mine.example:80", False),
        ("evil.example", True),
        ("localhost.evil.example", True),
        ("127.0.0.1.evil.example", True),
        ("", False),
    ],
)
def test_hosts(host: str | None, foreign: bool) -> None:
    assert guard.foreign_host(host, ("mine.example",)) is foreign
    assert guard.foreign_host(host, ("*",)) is False


@pytest.mark.parametrize(
    ("origin", "fetch_site", "foreign"),
    [
        (None, None, False),
        (None, "none", False),
        (None, "same-origin", False),
        (None, "cross-site", True),
        ("http://localhost:8000", "same-origin", False),
        ("http://localhost:8000", None, False),
        ("http://localhost:9000", "same-site", True),
        ("https://evil.example", "cross-site", True),
        ("https://app.example", "cross-site", False),
        ("null", "cross-site", True),
        ("null", None, True),
    ],
)
def test_sites(origin: str | None, fetch_site: str | None, foreign: bool) -> None:
    found = guard.foreign_site(
        origin=origin,
        fetch_site=fetch_site,
        host="localhost:8000",
        allowed_origins=("https://app.example",),
    )

    assert found is foreign


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("k", "k"),
        ('"k"', "k"),
        (' "k" ', "k"),
        ('"k";a=1', "k"),
        ('"a b"', "a b"),
        (r'"a\"b\\"', 'a"b\\'),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("a;b=c+/!~", "a;b=c+/!~"),
        ("x" * 255, "x" * 255),
        ('"' + "x" * 255 + '"', "x" * 255),
    ],
)
def test_idempotency_keys(header: str | None, expected: str | None) -> None:
    assert terms.idempotency_key(header) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        '""',
        '"',
        '"k',
        'k"',
        "a b",
        "a,b",
        '"a", "b"',
        r"a\b",
        r'"\a"',
        "x" * 256,
        "\u00e9",
    ],
)
def test_malformed_idempotency_keys(header: str) -> None:
    with pytest.raises(falcon.HTTPBadRequest):
        terms.idempotency_key(header)


@pytest.mark.parametrize(
    ("header", "expected"),
    [(None, 0), ("0", 0), ("90", 90), (" 0.5 ", 0.5), ("007", 7), ("100", 100), ("100.0", 100)],
)
def test_delays(header: str | None, expected: float) -> None:
    assert terms.delay_seconds(header, longest=100) == expected


@pytest.mark.parametrize(
    "header",
    ["", "-1", "+1", "1e1", ".5", "5.", "1,5", "nan", "inf", "0x1", "101", "100.001", "\u0661"],
)
def test_malformed_delays(header: str) -> None:
    with pytest.raises(falcon.HTTPBadRequest):
        terms.delay_seconds(header, longest=100)


def test_equal_payloads_have_equal_digests() -> None:
    def digest(payload: bytes, *, replay_of: str | None = None) -> str:
        asked = terms.Terms(request_id="r", idempotency_key="k", replay_of=replay_of)
        key = asked.idempotency(payload, ttl_seconds=1)
        assert key is not None
        return key.digest

    assert digest(b'{"a":1,"b":[true,null]}') == digest(b' {"b": [true, null], "a": 1}\n')
    assert digest(b'"\\u00e9"') == digest('"\u00e9"'.encode())
    assert digest(b"") == digest(b"{}")
    assert digest(b"1e2") == digest(b"100.0") != digest(b"100")
    assert digest(b"36893488147419103233") != digest(b"36893488147419103232")
    assert digest(b"{}", replay_of="an-id") != digest(b"{}")
    assert terms.Terms(request_id="r").idempotency(b"{}", ttl_seconds=1) is None
