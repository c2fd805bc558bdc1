"""`GET /`: the console, a page for people. Its files are in `assets/`; nothing is built or fetched.

It shows what the other routes answer, and knows nothing that they do not say.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import metadata, resources

import falcon
import falcon.asgi

from runtime.settings import Settings, is_loopback
from runtime.web.exchange import Request, reply

_PAGE = "index.html"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
# Only what is served here runs there, whatever a payload or a log line has in it:
# https://www.w3.org/TR/CSP3/
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Asked about each time, and answered 304 as long as it is the same.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asset:
    content: bytes
    content_type: str
    etag: str


class Page:
    """`GET /`."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        _answer(req, resp, _assets()[_PAGE])


class Asset:
    """`GET /console/{name}`."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response, name: str) -> None:
        asset = _assets().get(name)
        if asset is None or name == _PAGE:
            raise falcon.HTTPNotFound(description=f"the console has no file {name!r}")
        _answer(req, resp, asset)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """`GET /console/about.json`: what the page cannot know.

    `flower` is the URL of Flower, or null if the browser cannot reach it: it listens on this
    machine only, and the page was asked for under another name.
    """

    settings: Settings

    async def on_get(self, req: Request, resp: falcon.asgi.Response) -> None:
        is_here = is_loopback(req.host)
        is_open = not is_loopback(self.settings.flower_host)
        flower = f"http://{req.host}:{self.settings.flower_port}/" if is_here or is_open else None
        reply(resp, 200, {"version": metadata.version("eyas"), "flower": flower})


@cache
def _assets() -> dict[str, _Asset]:
    found = {}
    for file in resources.files("runtime.web").joinpath("assets").iterdir():
        content_type = _TYPES.get(file.name.rpartition(".")[2])
        if content_type is not None:
            content = file.read_bytes()
            etag = hashlib.sha256(content).hexdigest()[:32]
            found[file.name] = _Asset(content=content, content_type=content_type, etag=etag)
    return found


def _answer(req: Request, resp: falcon.asgi.Response, asset: _Asset) -> None:
    resp.set_headers(_HEADERS)
    resp.etag = asset.etag
    if any(tag in {"*", asset.etag} for tag in req.if_none_match or ()):
        resp.status = 304
        return
    resp.content_type = asset.content_type
    resp.data = asset.content
