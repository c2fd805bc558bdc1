"""Frames of event streams, as botocore takes them apart."""

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from runtime.web.aws.eventstream import LARGEST_PAYLOAD_BYTES, event, frame


def decoded(stream: bytes, *, piece_bytes: int = 1 << 30) -> list[tuple[dict[str, object], bytes]]:
    buffer = EventStreamBuffer()
    found = []
    for at in range(0, len(stream), piece_bytes):
        buffer.add_data(stream[at : at + piece_bytes])
        found += [(one.headers, one.payload) for one in buffer]
    return found


@given(
    sent=st.lists(
        st.tuples(
            st.dictionaries(st.text(min_size=1, max_size=60), st.text(max_size=200), max_size=5),
            st.binary(max_size=300),
        ),
        max_size=5,
    ),
    piece_bytes=st.integers(1, 400),
)
def test_frames_come_out_as_they_went_in_wherever_the_stream_is_cut(
    sent: list[tuple[dict[str, str], bytes]], piece_bytes: int
) -> None:
    stream = b"".join(frame(headers, payload) for headers, payload in sent)

    assert decoded(stream, piece_bytes=piece_bytes) == sent


def test_an_event_says_what_it_is() -> None:
    assert decoded(event("PayloadChunk", "application/octet-stream", b"\x00\xff")) == [
        (
            {
                ":message-type": "event",
                ":event-type": "PayloadChunk",
                ":content-type": "application/octet-stream",
            },
            b"\x00\xff",
        )
    ]


def test_the_largest_frame_is_taken_and_nothing_larger_is_made() -> None:
    ((_, payload),) = decoded(event("PayloadChunk", "x", b"y" * LARGEST_PAYLOAD_BYTES))

    assert len(payload) == LARGEST_PAYLOAD_BYTES
    with pytest.raises(ValueError, match="16777217 bytes are too many"):
        frame({}, b"y" * (LARGEST_PAYLOAD_BYTES + 1))
