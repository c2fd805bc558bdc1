"""`GET /openapi.json`."""

import asyncio
import hashlib
from typing import NamedTuple

import falcon.asgi
import msgspec

from runtime.registry import Registry
from runtime.settings import Settings
from runtime.web.exchange import Request
from runtime.web.openapi.document import document_of


class _Text(NamedTuple):
    """A document as JSON text, and its entity tag (RFC 9110, section 8.8.3)."""

    text: bytes
    etag: str


class OpenAPI:
    """The description of an application's API, made when somebody asks for it first."""

    def __init__(self, *, registry: Registry, settings: Settings) -> None:
        self._registry = registry
        self._settings = settings
        self._made: _Text | None = None

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        if self._made is None:
            # Of hundreds of functions that takes a while. Who asks meanwhile makes the same.
            self._made = await asyncio.to_thread(self._make)
        resp.etag = self._made.etag
        resp.set_header("Cache-Control", "no-cache")
        if {"*", self._made.etag}.intersection(req.if_none_match or ()):
            resp.status = 304
            return
        resp.content_type = "application/json"
        resp.data = self._made.text

    def _make(self) -> _Text:
        text = msgspec.json.encode(document_of(self._registry, self._settings))
        return _Text(text=text, etag=hashlib.sha256(text).hexdigest()[:32])
