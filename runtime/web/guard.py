"""Keeping other web sites out: a page on the internet must not run functions on this machine.

A browser names the page's site in `Origin` and `Sec-Fetch-Site`. DNS rebinding makes a foreign
site look like this one, but leaves its name in `Host`; an address cannot be rebound, so IP
addresses pass.
"""

import functools
import ipaddress
from collections.abc import Collection

_CROSS_SITE = "cross-site"


@functools.lru_cache(maxsize=1000)
def foreign_host(host: str | None, allowed_hosts: tuple[str, ...]) -> bool:
    """Tell whether a `Host` header names a host that is not ours."""
    if not host or "*" in allowed_hosts:  # HTTP/1.0 has no Host; every browser sends one
        return False
    name = _without_port(host.lower())
    return name != "localhost" and not _is_address(name) and name not in allowed_hosts


def foreign_site(
    *,
    origin: str | None,
    fetch_site: str | None,
    host: str | None,
    allowed_origins: Collection[str],
) -> bool:
    """Tell whether a browser sent the request on behalf of another site's page."""
    if "*" in allowed_origins:
        return False
    if origin is not None:
        if origin.lower() in allowed_origins:
            return False
        _, separator, authority = origin.lower().partition("://")
        # `Origin: null` is a sandboxed page, or one from a file: not ours either.
        return not separator or host is None or authority != host.lower()
    return fetch_site is not None and fetch_site.lower() == _CROSS_SITE


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
