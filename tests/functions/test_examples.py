"""The example functions besides fib."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from functions.csv_summary import csv_summary
from functions.echo import echo
from functions.greeting import handler
from functions.link_check import link_check
from functions.wait_for_ports import wait_for_ports
from runtime.errors import InvalidPayloadError
from runtime.testing import Stack, invoke
from runtime.testing.stack import free_ports


class _Site(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/there" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_echo_returns_any_payload() -> None:
    for payload in ({"a": 1}, [1, 2], "text", None):
        assert invoke(echo, payload) == (payload if payload is not None else {})


def test_greeting_is_a_lambda_handler() -> None:
    answer = invoke(handler, {"name": "Ada"}, invocation_id="i-1")

    assert answer == {"statusCode": 200, "body": "Hello, Ada!", "requestId": "i-1"}
    with pytest.raises(InvalidPayloadError):
        invoke(handler, [])


def test_link_check_finds_the_broken_links(site: str) -> None:
    (closed,) = free_ports(1)
    urls = [f"{site}/there", f"{site}/gone", f"http://127.0.0.1:{closed}/"]

    links = invoke(link_check, {"urls": urls})

    assert [link["url"] for link in links] == urls
    assert [link["status"] for link in links] == [200, 404, None]
    assert [link["broken"] for link in links] == [False, True, True]
    assert "refused" in links[2]["error"]


def test_link_check_takes_web_addresses_only() -> None:
    with pytest.raises(InvalidPayloadError, match="/urls/0"):
        invoke(link_check, {"urls": ["file:/etc/passwd"]})


def test_wait_for_ports_tells_open_from_closed(site: str) -> None:
    (closed,) = free_ports(1)
    addresses = [site.removeprefix("http://"), f"127.0.0.1:{closed}"]

    ports = invoke(wait_for_ports, {"addresses": addresses, "within_seconds": 0.3})

    assert [port["open"] for port in ports] == [True, False]
    assert ports[1]["seconds"] >= 0.3


def test_csv_summary_describes_every_column() -> None:
    text = "name,age,city\nAda,36,London\nAlan,41,London\nGrace,,New York\n"

    summary = invoke(csv_summary, {"text": text})

    assert summary["rows"] == 3
    name, age, city = summary["columns"]
    assert (name["name"], name["filled"], name["distinct"]) == ("name", 3, 3)
    assert "mean" not in name
    assert (age["minimum"], age["maximum"], age["mean"], age["empty"]) == (36, 41, 38.5, 1)
    assert city["most_common"] == [["London", 2], ["New York", 1]]


@pytest.mark.parametrize("text", ["", "a,b", "a\n\n1"])
def test_csv_summary_takes_any_text(text: str) -> None:
    assert invoke(csv_summary, {"text": text})["rows"] in {0, 2}


def test_the_examples_run_on_a_stack(eyas_stack: Stack, site: str) -> None:
    assert eyas_stack.invoke("greeting", {"name": "Ada"})["body"] == "Hello, Ada!"
    (link,) = eyas_stack.invoke("link_check", {"urls": [f"{site}/there"]})
    assert link["broken"] is False
    (port,) = eyas_stack.invoke("wait_for_ports", {"addresses": [site.removeprefix("http://")]})
    assert port["open"] is True
    assert eyas_stack.invoke("csv_summary", {"text": "a\n1\n"})["rows"] == 1
