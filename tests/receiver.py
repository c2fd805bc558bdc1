"""An HTTP server that is sent webhooks."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Receiver:
    """Keeps what it is sent, headers with names in lower case; `statuses` are its next answers."""

    received: list[tuple[dict[str, str], Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    url: str = ""

    def events(self) -> list[Any]:
        return [body for _, body in self.received]


@contextmanager
def receiving(
    check: Callable[[Mapping[str, str], bytes], None] = lambda _headers, _raw: None,
) -> Iterator[Receiver]:
    """Run one; what does not pass the check is not kept, and not answered."""
    receiver = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            check(headers, raw)
            status = receiver.statuses.pop(0) if receiver.statuses else 204
            receiver.received.append((headers, json.loads(raw)))
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "1000")
            if status == 302:
                self.send_header("Location", receiver.url + "elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook?a=b"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
