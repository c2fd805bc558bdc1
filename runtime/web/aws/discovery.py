"""What functions there are, as AWS describes them."""

import base64
import functools
import hashlib
import math
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import falcon.asgi

from runtime.function import Function
from runtime.lambda_context import LATEST, MEMORY_MB
from runtime.registry import FailedModule, Registry
from runtime.store import AsyncStore, function_configs
from runtime.web.aws import names
from runtime.web.aws.names import Target
from runtime.web.aws.paging import max_items
from runtime.web.exchange import Request, reply

_PAGE = 50
_MOST_ITEMS = 10_000
_RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
_ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"


class _Source(NamedTuple):
    """What AWS says of a function's code, here of the file of its module."""

    size_bytes: int
    digest: bytes
    modified_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The operations that list and describe functions.

    A module that could not be imported stands for a function of its name, in the state `Failed`.
    """

    registry: Registry
    store: AsyncStore

    async def list_functions(
        self, req: Request, resp: falcon.asgi.Response, _parameters: Mapping[str, str]
    ) -> None:
        """`ListFunctions`, in the order of names; the marker is the last name of a page."""
        caller = names.caller_of(req)
        marker = req.get_param("Marker") or ""
        items = max_items(req, default=_PAGE, most=_MOST_ITEMS)
        every: dict[str, Function[..., Any] | FailedModule] = {
            **{names.function_of(one): one for one in self.registry.failed},
            **self.registry,
        }
        left = [name for name in sorted(every) if name > marker]
        shown = left[: min(items, _PAGE)]
        page: dict[str, Any] = {
            "Functions": [
                _described(every[name], names.target_of(name, None, caller)) for name in shown
            ]
        }
        if len(left) > len(shown):
            page["NextMarker"] = shown[-1]
        reply(resp, 200, page)

    async def get_function(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`GetFunction`."""
        found, target = self._find(req, parameters)
        answer: dict[str, Any] = {
            "Configuration": _described(found, target),
            "Code": {"RepositoryType": "Local", "Location": found.module},
            "Tags": {},
        }
        most = await self.store.run(function_configs.read_reserved(target.name))
        if most is None and isinstance(found, Function):
            most = found.concurrency
        if most is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": most}
        reply(resp, 200, answer)

    async def get_function_configuration(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`GetFunctionConfiguration`."""
        reply(resp, 200, _described(*self._find(req, parameters)))

    async def list_versions(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`ListVersionsByFunction`: there is one."""
        max_items(req, default=_PAGE, most=_MOST_ITEMS)
        found, target = self._find(req, parameters)
        latest = target._replace(qualifier=LATEST)
        is_over = (req.get_param("Marker") or "") >= LATEST
        reply(resp, 200, {"Versions": [] if is_over else [_described(found, latest)]})

    async def list_aliases(
        self, req: Request, resp: falcon.asgi.Response, parameters: Mapping[str, str]
    ) -> None:
        """`ListAliases`: there are none."""
        max_items(req, default=_PAGE, most=_MOST_ITEMS)
        self._find(req, parameters)
        reply(resp, 200, {"Aliases": []})

    def _find(
        self, req: Request, parameters: Mapping[str, str]
    ) -> tuple[Function[..., Any] | FailedModule, Target]:
        target = names.target_in(req, parameters)
        found = names.find(target, self.registry)
        if found is None:
            raise names.not_found(target)
        return found, target


def _described(found: Function[..., Any] | FailedModule, target: Target) -> dict[str, Any]:
    """Return AWS's FunctionConfiguration."""
    source = _source(found)
    configuration: dict[str, Any] = {
        "FunctionName": target.name,
        "FunctionArn": target.arn,
        "Runtime": _RUNTIME,
        "Role": f"arn:aws:iam::{target.account}:role/eyas",
        "Handler": f"{found.module}.{target.name}",
        "CodeSize": source.size_bytes,
        "Description": "",
        "Timeout": 3,
        "MemorySize": MEMORY_MB,
        "LastModified": source.modified_at,
        "CodeSha256": base64.b64encode(source.digest).decode(),
        "Version": LATEST,
        "TracingConfig": {"Mode": "PassThrough"},
        "RevisionId": _uuid_of(source.digest),
        "PackageType": "Zip",
        "Architectures": [_ARCHITECTURE],
        "LastUpdateStatus": "Successful",
    }
    if isinstance(found, FailedModule):
        return configuration | {
            "State": "Failed",
            "StateReason": found.traceback,
            "StateReasonCode": "FunctionError",
        }
    return configuration | {
        "Handler": f"{found.module}.{found.handler.__name__}",
        "Description": found.description,
        "Timeout": math.ceil(found.timeout_seconds),
        "State": "Active",
    }


def _path_of(found: Function[..., Any] | FailedModule) -> Path:
    if isinstance(found, FailedModule):
        path = Path(found.path)
        return path / "__init__.py" if path.is_dir() else path
    return Path(getattr(sys.modules.get(found.module), "__file__", None) or "")


@functools.lru_cache(maxsize=1000)
def _source(found: Function[..., Any] | FailedModule) -> _Source:
    """Read a module's file, once: what a newer version of it defines is another function.

    What stays in use although its module fails now, is described as it is.
    """
    path = _path_of(found)
    try:
        text, modified = path.read_bytes(), path.stat().st_mtime
    except OSError:  # gone since, or of no file at all
        return _NO_SOURCE
    return _Source(
        len(text), hashlib.sha256(text).digest(), _written(datetime.fromtimestamp(modified, UTC))
    )


def _written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "+0000")


_NO_SOURCE = _Source(0, hashlib.sha256(b"").digest(), _written(datetime.fromtimestamp(0, UTC)))


def _uuid_of(digest: bytes) -> str:
    digits = digest.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))
