"""The paths of the console: a page for people."""

from typing import Any

from runtime.web.openapi.operation import Operation, Paths, answer, content, parameter
from runtime.web.openapi.problem_details import NOT_FOUND
from runtime.web.openapi.schemas import TEXT, members, or_null
from runtime.web.problems import Problem

TAG = "console"
_FILES = ("text/html", "text/javascript", "text/css", "image/svg+xml")


def paths() -> Paths:
    """Describe the page, its files, and what it cannot know."""
    return {
        "/": {"get": _file("getConsole", "The console", _FILES[:1])},
        "/console/{name}": {
            "get": _file("getConsoleFile", "A file of the console", _FILES[1:], NOT_FOUND)
        },
        "/console/about.json": {"get": _about()},
    }


def _file(
    operation_id: str, summary: str, media_types: tuple[str, ...], *refused: Problem
) -> Operation:
    contents: dict[str, Any] = {}
    for media_type in media_types:
        contents |= content(TEXT, media_type=media_type)
    kept = ("ETag", "Cache-Control")
    return Operation(
        operation_id,
        summary,
        tag=TAG,
        parameters=[parameter("If-None-Match")],
        answers={
            "200": answer("The file", contents, headers=kept),
            "304": answer("It is the one that is known already", headers=kept),
        },
        problems=refused,
    )


def _about() -> Operation:
    shown = members({"version": TEXT, "flower": or_null(TEXT)})
    return Operation(
        "aboutConsole",
        "The version, and where Flower is",
        tag=TAG,
        answers={"200": answer("What the page cannot know", content(shown))},
        problems=(),
    )
