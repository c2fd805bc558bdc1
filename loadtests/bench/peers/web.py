"""FastAPI before the peer that `BENCH_PEER` names: `uvicorn loadtests.bench.peers.web:app`.

A library that blocks is called from a plain function, which FastAPI runs in its threads: with a
broker that fsyncs every write this is faster than from the event loop, for all of them.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import BaseModel

from loadtests.bench.peers.__main__ import load

peer = load(os.environ["BENCH_PEER"])


class Payload(BaseModel):
    """The request body."""

    number: int


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    await peer.open_()
    yield


app = FastAPI(lifespan=_lifespan)

if peer.is_async:

    @app.post("/fib", status_code=202)
    async def invoke_async(payload: Payload) -> dict[str, str]:
        """Queue with an asynchronous library."""
        return {"id": await peer.enqueue(payload.number), "status": "queued"}

else:

    @app.post("/fib", status_code=202)
    def invoke_in_thread(payload: Payload) -> dict[str, str]:
        """Queue in a thread."""
        return {"id": peer.enqueue(payload.number), "status": "queued"}


@app.get("/ping")
async def ping() -> str:
    """Tell that it serves."""
    return "pong!"
