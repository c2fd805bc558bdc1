"""What attempts yield, on its way from the executors to the broker."""

from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.store import chunks
from runtime.store.chunks import Kept
from runtime.store.claims import Ticket
from runtime.worker.debts import Debts
from runtime.worker.executor.job import Yielded

_MOST_BYTES_AT_ONCE = 4_194_304
# For whoever follows slowly, after the attempt must have ended.
_KEPT_AFTER_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class Yields:
    """Parts of which the broker was not told yet: one of each attempt, and the rest of failed ones.

    `taken` is called when it has one, and not before: so no executor says more than it can take.
    """

    _waiting: list[tuple[Kept, Callable[[], None]]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(
        self, ticket: Ticket, part: Yielded, *, left_seconds: float, taken: Callable[[], None]
    ) -> None:
        """Let a part of an attempt wait, which will be stopped in so many seconds."""
        kept = Kept(
            tag=ticket.held.tag,
            id=ticket.id,
            part=part.part,
            chunks=part.chunks,
            seconds=max(0.0, left_seconds) + _KEPT_AFTER_SECONDS,
        )
        self._waiting.append((kept, taken))

    def tell(self, debts: Debts, worker: str, *, then: Callable[[], None] = lambda: None) -> None:
        """Tell the broker of all that waits, in as few steps as it can take; `then` go on."""
        while self._waiting:
            count = self._count_for_one_step()
            batch, self._waiting = self._waiting[:count], self._waiting[count:]

            def told(_: int, batch: list[tuple[Kept, Callable[[], None]]] = batch) -> None:
                for _kept, taken in batch:
                    taken()
                then()

            debts.owe(chunks.keep(worker, [kept for kept, _ in batch]), told)

    def _count_for_one_step(self) -> int:
        """Count the parts that the broker takes at once: it has little time for each step."""
        size_bytes = 0
        for number, (kept, _) in enumerate(self._waiting):
            size_bytes += len(kept.chunks)
            if number and size_bytes > _MOST_BYTES_AT_ONCE:
                return number
        return len(self._waiting)
