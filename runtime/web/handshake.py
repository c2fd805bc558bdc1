"""`OPTIONS`, and in it the handshake of webhooks: whether a sender may deliver events here.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md, section 4.
"""

import re

import falcon.asgi

from runtime.web.exchange import Request

# A DNS expression (section 4.1.2), or whatever a sender takes for one.
_ORIGIN = re.compile(r"[!-~]{1,255}")


def answer_options(req: Request, resp: falcon.asgi.Response, *, methods: str) -> None:
    """List the methods; to a sender of events that asks for it, grant the permission to deliver.

    Everybody may deliver as much as they like: browsers of other sites have been refused before,
    and what is too much is answered with 429.
    """
    resp.status = 200
    resp.set_header("Content-Length", "0")
    resp.set_header("Allow", methods)
    origin = req.header(b"webhook-request-origin")
    if origin is None or not _ORIGIN.fullmatch(origin):
        return
    resp.set_header("Allow", "POST")
    resp.set_header("WebHook-Allowed-Origin", origin)
    resp.set_header("WebHook-Allowed-Rate", "*")
