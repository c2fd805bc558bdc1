import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import falcon.asgi

from runtime.store.clock import Clock
from runtime.web.invocation_logs import InvocationLogs

LINE = b'{"timestamp":"2026-01-31T12:30:00.000000Z","event":"e","invocation_id":"id-1"}\n'


@dataclass(frozen=True, kw_only=True)
class FakeInvoker:
    """Knows one invocation, and answers what the store is asked, which is the time."""

    settings: Any

    @property
    def store(self) -> "FakeInvoker":
        return self

    async def read(self, _id: str) -> Any:
        return SimpleNamespace(id="id-1", function="f", accepted_at_us=0)

    async def run(self, _step: Any) -> Clock:
        return Clock(now_us=0, ahead_us=0, scale=1.0)


class Busy(ThreadPoolExecutor):
    """Has no thread for anybody."""

    def submit(self, *_: Any, **__: Any) -> NoReturn:  # type: ignore[override]
        raise AssertionError("the default threads are for others")


def test_who_reads_logs_keeps_no_thread_from_others(tmp_path: Path) -> None:
    (tmp_path / "web.log").write_bytes(LINE * 500)
    invoker: Any = FakeInvoker(settings=SimpleNamespace(log_dir=tmp_path))
    logs = InvocationLogs(invoker=invoker)

    async def read() -> bytes:
        asyncio.get_running_loop().set_default_executor(Busy())
        resp = falcon.asgi.Response()
        request: Any = SimpleNamespace()
        await logs.on_get(request, resp, "id-1")
        return b"".join([part async for part in resp.stream])

    assert asyncio.run(read()) == LINE * 500
