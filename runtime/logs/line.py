"""One log line on its way to the file and to the console."""

from collections.abc import Mapping
from typing import Any

import msgspec

_DECODE = msgspec.json.Decoder(dict[str, Any]).decode


class Line(msgspec.Struct, frozen=True):
    """A line: `data` is its JSON object, with the newline that ends it."""

    data: bytes
    level: str
    known_fields: Mapping[str, Any] | None = None

    @property
    def fields(self) -> Mapping[str, Any]:
        """What `data` says; read from there if nobody has it at hand, with nothing shortened."""
        return _DECODE(self.data) if self.known_fields is None else self.known_fields
