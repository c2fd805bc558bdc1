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
# For JSON Schema a format is a remark (Validation, section 7.2.1). Payloads are held to it.
OF_FORMATS = ("Invalid RFC3339", "Invalid UUID", "Invalid decimal", "Invalid date")


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
        assert all(detail.startswith(OF_FORMATS) for detail in wrong), response.text
