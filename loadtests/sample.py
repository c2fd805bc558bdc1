"""Which accepted invocations have their results read."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Sample:
    """The first of all ids and every `every`th after it; with 0 none."""

    every: int
    seen: int = field(default=0, init=False)

    def of(self, ids: Sequence[str]) -> Sequence[str]:
        """Return which of the next ids belong to it."""
        seen, self.seen = self.seen, self.seen + len(ids)
        return ids[-seen % self.every :: self.every] if self.every else ()
