"""The pure rules of the web edge: preferences, foreign sites."""

import pytest

from runtime.web import guard, prefer


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
    assert guard.foreign_host(host, {"mine.example"}) is foreign
    assert guard.foreign_host(host, {"*"}) is False


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
