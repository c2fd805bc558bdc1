"""Time that the host of a virtual machine gave to others, though processes here wanted to run."""

from pathlib import Path
from typing import NamedTuple, Self

_STAT = Path("/proc/stat")
# The columns of its first line; see proc_stat(5). The last two are in `user` and `nice` already.
_IDLE, _IOWAIT, _STOLEN, _ALL = 3, 4, 7, 8


class Times(NamedTuple):
    """Ticks of all processors, since the machine was started."""

    wanted: int
    stolen: int

    @classmethod
    def now(cls) -> Self:
        """Read them; zero where the kernel does not say."""
        if not _STAT.exists():
            return cls(0, 0)
        return cls.of(_STAT.read_text(encoding="ascii"))

    @classmethod
    def of(cls, text: str) -> Self:
        """Read the text of /proc/stat."""
        ticks = [int(field) for field in text.split("\n", 1)[0].split()[1 : _ALL + 1]]
        return cls(sum(ticks) - ticks[_IDLE] - ticks[_IOWAIT], ticks[_STOLEN])

    def share_until(self, later: "Times") -> float:
        """Return what part of the time that was wanted until then was stolen."""
        wanted = later.wanted - self.wanted
        return (later.stolen - self.stolen) / wanted if wanted > 0 else 0.0
