"""What schemathesis compares answers with, besides the document: hooks of its command.

It imports this module by the name in `SCHEMATHESIS_HOOKS`.
"""

from typing import Any

import schemathesis
from schemathesis.generation.meta import TestPhase

# What a function does wrong is answered with these to who waits for it.
OF_FUNCTIONS = {
    f"urn:eyas:problem:{kind}"
    for kind in ("function-error", "function-timeout", "invocation-cancelled", "invocation-expired")
}
# What JSON Schema lets pass, and payloads are held to: formats, which are remarks there
# (Validation, section 7.2.1), and that 1.0 is no integer (section 6.1.1).
STRICTER = (
    "Invalid RFC3339",
    "Invalid UUID",
    "Invalid decimal",
    "Invalid date",
    "Expected `int`, got `float`",
)
OF_AN_EVENT = {"ce-specversion", "ce-id", "ce-source", "ce-type"}


@schemathesis.hook
def map_headers(context: Any, headers: Any) -> Any:
    """Seldom make a payload for a function a malformed event, by some of its headers."""
    if headers and context.operation.path.startswith("/functions/"):
        found = OF_AN_EVENT & headers.keys()
        if found != OF_AN_EVENT:
            return {name: value for name, value in headers.items() if name not in found}
    return headers


@schemathesis.check
def only_functions_are_to_blame(_context: Any, response: Any, case: schemathesis.Case) -> None:
    """In place of `not_a_server_error`: nothing fails here but functions that are waited for."""
    if response.status_code >= 500:
        assert response.json()["type"] in OF_FUNCTIONS, response.text
        assert "wait" in case.headers["Prefer"], case.headers


@schemathesis.check
def payloads_that_fit_their_schema_are_taken(
    _context: Any, response: Any, case: schemathesis.Case
) -> None:
    """In place of `positive_data_acceptance`, which takes no account of what is too large.

    It is about payloads for one function: an event fits the document's schema whatever its data is,
    and `/functions/{name}` has none. What the phase of borders takes for valid need not be, if a
    schema has a discriminator.
    """
    if (
        case.path.startswith("/functions/")
        and not case.path_parameters
        and case.media_type == "application/json"
        and case.meta is not None
        and case.meta.phase.name is TestPhase.FUZZING
        and case.meta.generation.mode.is_positive
        and response.status_code == 422
    ):
        problem = response.json()
        wrong = [one["detail"] for one in problem.get("errors", ())]
        assert all(detail.startswith(STRICTER) for detail in wrong), response.text
