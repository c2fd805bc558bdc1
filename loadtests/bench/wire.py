"""HTTP/1.1 on the wire, as much of it as a load generator needs."""

import re
from collections.abc import Mapping
from typing import NamedTuple

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close\b", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_STATUS = slice(9, 12)


class NotHttpError(Exception):
    """An answer that is not HTTP with a Content-Length."""


class Answer(NamedTuple):
    """Where one answer's body begins and ends in the bytes that were received."""

    status: int
    body_start: int
    end: int


def request(
    method: str,
    path: str,
    *,
    host: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return a request as it is sent; a body is JSON if no header says otherwise."""
    lines = {"Host": host}
    if body is not None:
        lines |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines |= headers or {}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")


def parse(received: bytes) -> Answer | None:
    """Return the first answer in what was received, `None` while it is not complete.

    Raises `NotHttpError`, also for a chunked answer: no contender sends any.
    """
    head_end = received.find(_HEAD_END)
    if head_end < 0:
        return None
    length = _LENGTH.search(received, 0, head_end + 2)
    if length is None or not received[_STATUS].isdigit():
        raise NotHttpError(repr(received[: head_end + 4]))
    body_start = head_end + len(_HEAD_END)
    end = body_start + int(length[1])
    if len(received) < end:
        return None
    return Answer(int(received[_STATUS]), body_start, end)


def closes(received: bytes, answer: Answer) -> bool:
    """Tell whether the server ends the connection after this answer."""
    return _CLOSES.search(received, 0, answer.body_start) is not None
