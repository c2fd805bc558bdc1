"""I/O-bound: find the broken links of a page."""

import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from msgspec import Meta, Struct

from runtime import Context, function

Url = Annotated[str, Meta(pattern="^https?://")]
_REQUEST_TIMEOUT_SECONDS = 10
_REQUESTS_AT_A_TIME = 16


class Link(Struct):
    """What came back for one URL: a status code, or why there is none."""

    url: str
    status: int | None
    error: str | None
    broken: bool


@function(timeout=120, retries=1, concurrency=4)
def link_check(
    urls: Annotated[list[Url], Meta(min_length=1, max_length=100)], context: Context
) -> list[Link]:
    """Request every URL, many at a time, and report which are broken, in the given order."""
    links: list[Link] = []
    with ThreadPoolExecutor(max_workers=_REQUESTS_AT_A_TIME) as pool:
        for link in pool.map(_check, urls):
            links.append(link)
            context.progress(len(links), len(urls), link.url)
    context.log.info("links.checked", count=len(links), broken=sum(link.broken for link in links))
    return links


def _check(url: str) -> Link:
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  the pattern allows http(s)
    try:
        with urllib.request.urlopen(request, timeout=_REQUEST_TIMEOUT_SECONDS) as answer:  # noqa: S310
            return Link(url=url, status=answer.status, error=None, broken=False)
    except urllib.error.HTTPError as error:
        with error:
            return Link(url=url, status=error.code, error=None, broken=True)
    except (OSError, ValueError) as error:
        return Link(url=url, status=None, error=str(error), broken=True)
