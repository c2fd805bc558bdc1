"""Webhooks: where they may go, and how they are signed.

They are signed as Standard Webhooks 1.0.0 says (https://www.standardwebhooks.com), which libraries
in many languages verify.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from runtime.errors import EyasError

ANY_HOST = "*"
LONGEST_URL = 2000  # characters

_SECRET_PREFIX = "whsec_"  # noqa: S105  how secrets are written, and none
_SHORTEST_SECRET = 16  # bytes
_PORTS = {"http": 80, "https": 443}
# RFC 4291, section 2.4: whatever else there is of IPv6 is not routed on the internet, but for what
# a translator makes IPv4 of (RFC 6052, section 2.1).
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# RFC 6890 (older Pythons know parts of it only), and what clouds answer at besides 169.254.169.254.
_ALSO_INTERNAL = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("168.63.129.16/32"),
)


class InvalidTargetError(EyasError):
    """A URL cannot be one that webhooks are sent to, or may not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a webhook goes; `path` has the query too."""

    is_secure: bool
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a URL. Raises `InvalidTargetError`."""
        if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
            raise InvalidTargetError(
                f"expected a URL of at most {LONGEST_URL} visible ASCII characters"
            )
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidTargetError(f"{url!r} is no URL: {error}") from None
        if parts.scheme not in _PORTS or not host:
            raise InvalidTargetError(f"{url!r}: expected http://... or https://...")
        if "@" in parts.netloc:
            raise InvalidTargetError("a URL for webhooks has no user name and password")
        return cls(
            is_secure=parts.scheme == "https",
            host=host,
            port=_PORTS[parts.scheme] if port is None else port,
            path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        )

    @property
    def authority(self) -> str:
        """What the `Host` header says (RFC 9110, section 7.2)."""
        host = self._written_host
        return host if self.port == _PORTS[self._scheme] else f"{host}:{self.port}"

    @property
    def _written_host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def _scheme(self) -> str:
        return "https" if self.is_secure else "http"

    def check(self, *, allowed_hosts: Collection[str]) -> None:
        """Raise `InvalidTargetError` for an internal host, as far as its name alone tells it."""
        if self.is_allowed(allowed_hosts):
            return
        try:
            is_refused = is_internal(self.host)
        except ValueError:  # a name: its addresses are looked at when it is sent to
            is_refused = self.host == "localhost" or self.host.endswith((".localhost", ".local"))
        if is_refused:
            raise forbidden(self.host)

    def is_allowed(self, allowed_hosts: Collection[str]) -> bool:
        """Tell whether the settings allow the host whatever its addresses are."""
        return not {ANY_HOST, self.host, self._written_host}.isdisjoint(allowed_hosts)


def is_url(text: str) -> bool:
    """Tell whether a text begins as the URL of a webhook does."""
    return text.startswith(tuple(f"{scheme}://" for scheme in _PORTS))


def forbidden(host: str) -> InvalidTargetError:
    """Return the error of a host whose address is not one of the public internet."""
    return InvalidTargetError(
        f"{host} is an internal address, and EYAS_CALLBACK_HOSTS does not allow it"
    )


def is_internal(address: str) -> bool:
    """Tell whether an IP address is any other than a public one. Raises `ValueError` for a name."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is None:
            return ip not in _GLOBAL_UNICAST or not ip.is_global
        ip = inner
    return not ip.is_global or ip.is_multicast or any(ip in network for network in _ALSO_INTERNAL)


def key_of(secret: str) -> bytes:
    """Return the key that a secret is written for: base64 after `whsec_`, or the text itself.

    Raises `ValueError` for one that is malformed or shorter than 16 bytes.
    """
    if secret.startswith(_SECRET_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
        except binascii.Error as error:
            raise ValueError(str(error)) from None
    else:
        key = secret.encode()
    if len(key) < _SHORTEST_SECRET:
        raise ValueError(f"shorter than {_SHORTEST_SECRET} bytes")
    return key


def headers(*, key: bytes, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that identify and sign a message; `timestamp` is in Unix seconds."""
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
