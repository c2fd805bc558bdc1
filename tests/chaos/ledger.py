"""What the handlers noted: which attempts started, and how they ended."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.chaos_functions._noting import ENDED, STARTED


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a handler; `at` is the system's monotonic clock, which all processes share."""

    what: str
    invocation_id: str
    attempt: int
    pid: int
    at: float


class Ledger:
    """Reads the file that handlers append to, as far as it has got."""

    def __init__(self, path: Path) -> None:
        self.entries: list[Entry] = []
        self.ended: set[str] = set()
        """The invocations whose handler ran to its end at least once."""
        self._by_id: dict[str, list[Entry]] = defaultdict(list)
        self._path = path
        self._offset = 0

    def read(self) -> None:
        """Read what was appended since the last time."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode().splitlines():
            what, invocation_id, attempt, pid, at = line.split()
            entry = Entry(what, invocation_id, int(attempt), int(pid), float(at))
            self.entries.append(entry)
            self._by_id[invocation_id].append(entry)
            if what == ENDED:
                self.ended.add(invocation_id)

    def of(self, invocation_id: str) -> list[Entry]:
        """Return the entries of one invocation, in the order in which they were written."""
        return self._by_id.get(invocation_id, [])

    def starts(self, invocation_id: str) -> list[Entry]:
        return [entry for entry in self.of(invocation_id) if entry.what == STARTED]

    def ends(self, invocation_id: str) -> list[Entry]:
        """Return where the handler ran to its end; an attempt that raised has none."""
        return [entry for entry in self.of(invocation_id) if entry.what == ENDED]

    def interrupted(self) -> list[Entry]:
        """Return the starts of the attempts that neither ended nor raised."""
        closed = {
            (entry.invocation_id, entry.attempt, entry.pid)
            for entry in self.entries
            if entry.what != STARTED
        }
        return [
            entry
            for entry in self.entries
            if entry.what == STARTED
            and (entry.invocation_id, entry.attempt, entry.pid) not in closed
        ]
