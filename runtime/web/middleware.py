"""What happens around every request: its id, log line and span, and keeping other sites out."""

import re
import time
from dataclasses import dataclass
from typing import Any

import falcon.asgi
import structlog

from runtime.invocation import new_id
from runtime.settings import Settings
from runtime.store import AsyncStore, GroupCommit, Watcher
from runtime.tracing import Tracing
from runtime.web import guard, problems
from runtime.web.aws import errors as aws
from runtime.web.exchange import Request
from runtime.web.metrics import Refusals

_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_SERVER_ERROR = 500
# Asked every second or so by whoever waits for a stack to start, or watches it: no spans.
_PROBED = frozenset({"/healthz", "/readyz", "/metrics"})


class Edge:
    """Gives each request an id, keeps other sites out, and writes a `request.finished` line.

    A request that a browser sent for another site, or for a foreign `Host`, is answered with 403.
    It is all in one object, because falcon awaits every method of every object.
    """

    def __init__(self, *, settings: Settings, refusals: Refusals, tracing: Tracing) -> None:
        self._settings = settings
        self._refusals = refusals
        self._tracing = tracing
        self._log = structlog.get_logger("web").bind()

    async def process_request(self, req: Request, resp: falcon.asgi.Response) -> None:
        given = req.header(b"x-request-id")
        if given is None or not _REQUEST_ID.fullmatch(given):
            given = new_id().replace("-", "")
        req.request_id = given
        resp.set_header("X-Request-Id", given)
        if self._tracing.is_on and req.path not in _PROBED:
            req.span = self._tracing.request(
                method=req.method,
                path=req.path,
                scheme=req.scheme,
                client=req.remote_addr,
                trace_parent=req.header(b"traceparent"),
            )
        host = req.header(b"host")
        if guard.foreign_host(host, self._settings.allowed_hosts):
            _refuse(req, resp, f"this server is not {host!r}: see EYAS_ALLOWED_HOSTS")
            return
        origin = req.header(b"origin")
        fetch_site = req.header(b"sec-fetch-site")
        if origin is None and fetch_site is None:
            return  # no browser, or a page of ours
        if guard.foreign_site(
            origin=origin,
            fetch_site=fetch_site,
            host=host,
            allowed_origins=self._settings.allowed_origins,
        ):
            page = origin or "another site"
            _refuse(
                req, resp, f"a page of {page} may not call this server: see EYAS_ALLOWED_ORIGINS"
            )

    async def process_response(
        self,
        req: Request,
        resp: falcon.asgi.Response,
        _resource: Any,
        _succeeded: bool,  # noqa: FBT001  Falcon passes it by position
    ) -> None:
        status = resp.status_code
        route = req.uri_template
        if route in _PROBED:
            log = self._log.debug
        else:
            log = self._log.error if status >= _SERVER_ERROR else self._log.info
        if req.refusal:
            self._refusals.count(req.refusal)
            req.noted = {**req.noted, "reason": req.refusal}
        if req.span is not None:
            req.span.end(route=route, status=status, noted=req.noted)
            req.noted = {**req.noted, "trace_id": req.span.trace_id}
        data = resp.data
        log(
            "request.finished",
            method=req.method,
            path=req.path,
            route=route,
            status=status,
            duration_ms=round((time.perf_counter() - req.started) * 1000, 3),
            request_bytes=req.announced_bytes or 0,
            response_bytes=len(data) if data is not None else 0,
            client=req.remote_addr,
            request_id=req.request_id,
            **req.noted,
        )


def _refuse(req: Request, resp: falcon.asgi.Response, detail: str) -> None:
    if aws.serves(req.path):
        aws.answer(req, resp, aws.of_guard(detail))
    else:
        req.refusal = "foreign-site"
        problems.answer(req, resp, problems.FOREIGN_SITE, detail=detail)
    resp.complete = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """Opens and closes what the process shares between requests (ASGI lifespan)."""

    store: AsyncStore
    commits: GroupCommit
    watcher: Watcher

    async def process_startup(self, _scope: dict[str, Any], _event: dict[str, Any]) -> None:
        self.watcher.start()

    async def process_shutdown(self, _scope: dict[str, Any], _event: dict[str, Any]) -> None:
        await self.watcher.close()
        await self.commits.close()
        await self.store.close()
