"""Which kill is to be blamed for what happened to an invocation."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from tests.chaos.faults import Kill
from tests.chaos.ledger import Ledger
from tests.chaos.load import Sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """The kills of a run in their order, and what came before and after each. None is no kill."""

    kills: Sequence[Kill]
    accepted: Sequence[Sent]
    ledger: Ledger

    def acceptance(self, sent: Sent) -> Kill | None:
        """Return the first kill that the invocation had to survive."""
        return next((kill for kill in self.kills if kill.at >= sent.accepted_at), None)

    def loss(self, sent: Sent) -> Kill | None:
        """Return the kill after its last sign of life, or the one before its successors started.

        An invocation that never started left the queue just before those behind it.
        """
        entries = self.ledger.of(sent.id)
        if entries:
            return self._first_over_after(entries[-1].at)
        behind = (self.ledger.starts(s.id) for s in self.accepted if s.sent_at > sent.sent_at)
        overtaken_at = min((starts[0].at for starts in behind if starts), default=inf)
        return next((kill for kill in reversed(self.kills) if kill.at < overtaken_at), None)

    def second_execution(self, sent: Sent) -> Kill | None:
        """Return the kill after the first execution, which kept the outcome from being stored."""
        return self._first_over_after(self.ledger.ends(sent.id)[0].at)

    def reruns(self) -> list[tuple[Kill, float]]:
        """Return kill and seconds for each attempt that a kill interrupted and that ran again."""
        found = []
        for entry in self.ledger.interrupted():
            kill = next(
                (k for k in self.kills if k.gone_at >= entry.at and entry.pid in k.victims), None
            )
            starts = self.ledger.starts(entry.invocation_id)
            again = next((start for start in starts if start.at > entry.at), None)
            if kill is not None and again is not None:
                found.append((kill, again.at - kill.at))
        return found

    def _first_over_after(self, moment: float) -> Kill | None:
        """Return the first kill of which something was still alive at a moment, or not yet hit."""
        return next((kill for kill in self.kills if kill.gone_at >= moment), None)
