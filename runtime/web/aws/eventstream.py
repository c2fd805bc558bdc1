"""Frames of `application/vnd.amazon.eventstream`: messages with headers, one after the other.

https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import functools
import struct
import zlib
from collections.abc import Mapping

CONTENT_TYPE = "application/vnd.amazon.eventstream"
LARGEST_PAYLOAD_BYTES = 16_777_216
"""What every SDK takes; newer ones take half as much again."""

# The length of the whole, that of its headers, and checksums of what is before each.
_LENGTHS = struct.Struct("!II")
_CHECKSUM = struct.Struct("!I")
_ADDED_BYTES = _LENGTHS.size + 2 * _CHECKSUM.size
_STRING = 7


def event(kind: str, content_type: str, payload: bytes) -> bytes:
    """Return the frame of an event, of a type of the operation's model."""
    return _frame(_head_of_event(kind, content_type), payload)


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return a frame; its headers are texts. Raises `ValueError` if the payload is too large."""
    return _frame(_head(headers), payload)


@functools.cache
def _head_of_event(kind: str, content_type: str) -> bytes:
    # Of a few kinds, there may be a million events.
    return _head({":message-type": "event", ":event-type": kind, ":content-type": content_type})


def _head(headers: Mapping[str, str]) -> bytes:
    return b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())


def _frame(head: bytes, payload: bytes) -> bytes:
    if len(payload) > LARGEST_PAYLOAD_BYTES:
        raise ValueError(f"{len(payload)} bytes are too many for one frame")
    lengths = _LENGTHS.pack(_ADDED_BYTES + len(head) + len(payload), len(head))
    before = lengths + _CHECKSUM.pack(zlib.crc32(lengths)) + head + payload
    return before + _CHECKSUM.pack(zlib.crc32(before))


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack(f"!B{len(name)}sBH", len(name), name, _STRING, len(value)) + value
