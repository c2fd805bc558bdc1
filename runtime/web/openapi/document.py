"""The whole document: a pure function of the functions and the settings."""

import re
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from runtime.registry import Registry
from runtime.settings import Settings
from runtime.web.openapi import (
    described,
    emulator,
    functions,
    headers,
    invocations,
    others,
    pages,
    problem_details,
    schemas,
    streams,
)
from runtime.web.openapi.operation import Operation, Paths, parameter

_DESCRIPTION = """\
Functions, and what becomes of their invocations. JSON in and out, UTF-8; times are RFC 3339 in
UTC, durations are seconds unless a name says `_ms`. Every error is `application/problem+json`
(RFC 9457).

Each function has paths of its own, with the schemas of its payload and result. The document is
made anew when the functions change.

`HEAD` is `GET` without the body, `OPTIONS` on any path lists its methods, and a method that a path
does not have is answered with 405. A path that is not here is 404, except for those of the API of
AWS Lambda, which web speaks too: they begin with a date, answer with AWS's own errors, and are
described by AWS's own models.

There is no authentication. What a browser sends for the page of another site is answered with 403.
"""
_TAGS = (
    (functions.TAG, "Invoking functions"),
    (others.EVENTS, "Invoking functions by CloudEvents"),
    (invocations.INVOCATIONS, "What becomes of invocations"),
    (invocations.DEAD_LETTERS, "Invocations that were given up"),
    (others.SCHEDULES, "Functions that run by themselves"),
    (others.HEALTH, "What runs here"),
    (pages.TAG, "A page for people"),
    (others.BLOG, "The routes of the blog post that Eyas grew out of"),
)


_IN_PATH = re.compile(r"\{(\w+)\}")


def document_of(registry: Registry, settings: Settings) -> dict[str, Any]:
    """Describe the HTTP API that serves these functions under these settings, in OpenAPI 3.1."""
    paths: Paths = {
        **functions.paths(registry, settings),
        **others.paths(settings),
        **invocations.paths(),
        **streams.paths(),
        **pages.paths(),
        **(emulator.paths() if settings.emulator else {}),
    }
    tags = _TAGS + (((emulator.TAG, "What only a test does"),) if settings.emulator else ())
    refused = [one.problems for operations in paths.values() for one in operations.values()]
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Eyas",
            "version": metadata.version("eyas"),
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [],
        "tags": [{"name": name, "description": text} for name, text in tags],
        "paths": {path: _path_item(path, operations) for path, operations in paths.items()},
        "components": {
            "schemas": {
                **schemas.schemas(),
                **problem_details.schemas(),
                **described.schemas(registry),
            },
            "responses": problem_details.responses(refused),
            "parameters": headers.parameters(settings),
            "headers": headers.headers(),
            "links": invocations.links(),
        },
    }


def _path_item(path: str, operations: Mapping[str, Operation]) -> dict[str, Any]:
    parameters = [parameter(name) for name in _IN_PATH.findall(path)]
    return {
        **({"parameters": parameters} if parameters else {}),
        **{method: operation.to_json() for method, operation in operations.items()},
    }
