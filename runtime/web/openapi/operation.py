"""An operation of the API, and what its description is made of: parameters, bodies, answers.

The functions here return JSON objects as OpenAPI 3.1 has them
(https://spec.openapis.org/oas/v3.1.1.html, section 4.8).
"""

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from runtime.web.openapi import problem_details
from runtime.web.problems import Problem

Json = dict[str, Any]

JSON = "application/json"
NDJSON = "application/x-ndjson"
_IN_EVERY_ANSWER = ("X-Request-Id",)


def schema(name: str) -> Json:
    """Refer to a schema among the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def parameter(name: str) -> Json:
    """Refer to a parameter among the components."""
    return {"$ref": f"#/components/parameters/{name}"}


def content(of: Json, *, media_type: str = JSON) -> Json:
    """Say what a body of one media type is."""
    return {media_type: {"schema": of}}


def body(contents: Json, *, description: str, is_required: bool) -> Json:
    """Describe what is sent."""
    return {"description": description, "required": is_required, "content": contents}


def answer(
    description: str,
    contents: Json | None = None,
    *,
    headers: Iterable[str] = (),
    links: Iterable[str] = (),
) -> Json:
    """Describe what comes back if nothing is wrong; without contents, no body."""
    names = (*_IN_EVERY_ANSWER, *headers)
    linked = {name: {"$ref": f"#/components/links/{name}"} for name in links}
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        **({"content": contents} if contents else {}),
        **({"links": linked} if linked else {}),
    }


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of a path.

    `answers` are by status. `problems` are what it is refused with, besides 403 for the pages of
    other sites, which every operation has.
    """

    id: str
    summary: str
    _: KW_ONLY
    tag: str
    answers: Mapping[str, Json]
    problems: Iterable[Problem]
    description: str = ""
    parameters: Iterable[Json] = ()
    request_body: Json | None = None

    def to_json(self) -> Json:
        """Return it as the document shows it."""
        return {
            "operationId": self.id,
            "summary": self.summary,
            **({"description": self.description} if self.description else {}),
            "tags": [self.tag],
            "parameters": [parameter("X-Request-Id"), *self.parameters],
            **({"requestBody": self.request_body} if self.request_body else {}),
            "responses": {**self.answers, **problem_details.answers(self.problems)},
        }


Paths = dict[str, dict[str, Operation]]
"""Operations by path and method; methods are in lower case."""
