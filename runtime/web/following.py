"""Following an invocation: what its handler yields, while it runs."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from runtime.errors import BrokerUnavailableError, EyasError
from runtime.function import Function
from runtime.invocation import Record, Status
from runtime.store import chunks
from runtime.store.channels import Hears
from runtime.store.chunks import Followed
from runtime.web.invoking import Invoker
from runtime.web.terms import Patience

_READ_AGAIN_SECONDS = 0.2
_list_of = msgspec.json.Decoder(list[msgspec.Raw]).decode


class LostAttemptError(EyasError):
    """An attempt is over of which chunks were sent, and the next one yields all of them again."""


async def follow(
    invoker: Invoker, function: Function[..., Any], invocation_id: str, *, patience: Patience
) -> AsyncGenerator[Iterable[bytes] | Record, None]:
    """Yield the chunks of an invocation, each as JSON text, as they come; at the end its record.

    Of one that succeeds these are all chunks, of any other those that the broker was told of. If
    the client hangs up, it ends without a record. Raises `TimeoutError` when the patience is at an
    end, `LostAttemptError`, and what `Invoker.read` raises.
    """
    seen = _Seen()
    with invoker.watcher.watch(invocation_id, hears=Hears.CHUNKS) as watch:
        watch.read_first()
        leaving = asyncio.create_task(patience.hung_up())
        leaving.add_done_callback(lambda _: watch.changed.set())
        try:
            while True:
                async with asyncio.timeout(patience.until - time.monotonic()):
                    await watch.changed.wait()
                if leaving.done():
                    return
                watch.changed.clear()
                try:
                    found, record = await _look(invoker, invocation_id, after=seen.parts)
                except BrokerUnavailableError:
                    # It may be back before the deadline.
                    await asyncio.sleep(_READ_AGAIN_SECONDS)
                    watch.changed.set()
                    continue
                if record is not None and record.status is Status.SUCCEEDED:
                    seen.check(record.attempt)
                    if function.yields:
                        yield map(bytes, _list_of(record.result or b"[]")[seen.chunks :])
                    yield record
                    return
                for new in seen.take(found):
                    yield map(bytes, new)
                if found.has_more:
                    watch.changed.set()
                elif record is not None:
                    yield record
                    return
        finally:
            leaving.cancel()


@dataclass(slots=True)
class _Seen:
    """What was passed on so far, all of one attempt."""

    attempt: int = 0
    parts: int = 0
    chunks: int = 0

    def check(self, attempt: int) -> None:
        """Raise `LostAttemptError` if something of another attempt was passed on."""
        if self.parts and attempt != self.attempt:
            raise LostAttemptError(
                f"attempt {self.attempt} was lost after chunks of it were sent, and the invocation "
                "runs again"
            )

    def take(self, found: Followed) -> Sequence[Sequence[msgspec.Raw]]:
        """Return the chunks of the parts that are new. Raises `LostAttemptError`."""
        # What waits again will have another attempt.
        self.check(found.attempt + 1 if found.is_waiting else found.attempt)
        self.attempt = found.attempt
        new = [_list_of(part) for part in found.parts]
        self.parts += len(new)
        self.chunks += sum(map(len, new))
        return new


async def _look(
    invoker: Invoker, invocation_id: str, *, after: int
) -> tuple[Followed, Record | None]:
    """Return what is new, and the record if the invocation has ended."""
    found = await invoker.store.run(chunks.follow(invocation_id, after=after))
    return found, await invoker.read(invocation_id) if found.is_terminal else None
