"""The description of the API is valid, whole and about the application that serves it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from falcon.inspect import inspect_routes
from openapi_spec_validator import OpenAPIV31SpecValidator

from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import AsyncStore, GroupCommit, Watcher
from runtime.web import problems
from runtime.web.app import create_app
from runtime.web.openapi.document import document_of

ROOT = Path(__file__).parents[2]
NOWHERE = "redis://127.0.0.1:1/0"
EMULATOR = Settings.from_environment({"EYAS_EMULATOR": "on"})
PRODUCTION = Settings.from_environment({"EYAS_EMULATOR": "off"})


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover(ROOT / "tests" / "shaped_functions")


@pytest.fixture(scope="module")
def document(registry: Registry) -> dict[str, Any]:
    return document_of(registry, EMULATOR)


def operations_of(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (path, method.upper()): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def every(value: Any, key: str) -> Iterator[Any]:
    """Yield what each object has under a key, wherever it is."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from every(one, key)


def found_at(document: Any, reference: str) -> Any:
    assert reference.startswith("#/")
    for step in reference[2:].split("/"):
        document = document[step]
    return document


def validator_of(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    # References begin at the root.
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]})


@pytest.mark.parametrize("settings", [EMULATOR, PRODUCTION], ids=["emulator", "production"])
def test_the_document_is_valid(registry: Registry, settings: Settings) -> None:
    for functions in (registry, Registry()):
        OpenAPIV31SpecValidator(document_of(functions, settings)).validate()


@pytest.mark.parametrize("settings", [EMULATOR, PRODUCTION], ids=["emulator", "production"])
def test_it_has_every_route_of_the_application_and_no_other(
    registry: Registry, settings: Settings
) -> None:
    app = create_app(
        registry=registry,
        settings=settings,
        store=AsyncStore(NOWHERE),
        commits=GroupCommit(NOWHERE),
        watcher=Watcher(NOWHERE),
    )
    served = {
        (route.path, method.method)
        for route in inspect_routes(app)
        for method in route.methods
        if not method.internal
    }

    assert ("/functions/order/batch", "POST") in served
    assert set(operations_of(document_of(registry, settings))) == served


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations_of(document).values()]

    assert sorted(ids) == sorted(set(ids))


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = list(every(document, "$ref"))
    for mapping in every(document, "mapping"):
        references += mapping.values()

    assert "#/components/schemas/tree.payload-Node" in references
    assert "#/components/schemas/area.payload-Circle" in references
    for reference in set(references):
        assert found_at(document, reference) is not None, reference
    for link in document["components"]["links"].values():
        assert link["operationId"] in every(document, "operationId")


def test_every_type_of_problem_is_in_it(document: dict[str, Any]) -> None:
    described = {
        schema["properties"]["type"]["const"]: schema
        for name, schema in document["components"]["schemas"].items()
        if name.startswith("Problem.")
    }
    source = (ROOT / "runtime" / "web" / "problems.py").read_text(encoding="utf-8")
    kinds = set(re.findall(r'Problem\(\s*\d+, "([a-z-]+)"', source))
    text = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    refusals = text[text.index("## Refusals") : text.index("## X-Request-Id")]
    listed = set(re.findall(r"^\|[^|]+\|[^|]+\| `([a-z-]+)` \|", refusals, re.MULTILINE))

    assert len(kinds) > 20
    assert kinds == listed
    assert set(described) == {f"urn:eyas:problem:{kind}" for kind in kinds} | {"about:blank"}
    for problem in problems.OF_ERRORS.values():
        assert described[problem.type]["properties"]["status"] == {"const": problem.status}


def test_every_problem_is_the_answer_of_some_operation(document: dict[str, Any]) -> None:
    used = set()
    for response in every(document["paths"], "responses"):
        for status, one in response.items():
            if "$ref" in one:
                answer = found_at(document, one["$ref"])
                used |= set(every(answer["content"], "$ref"))
                assert {
                    found_at(document, reference)["properties"].get("status", {}).get("const")
                    for reference in every(answer["content"], "$ref")
                } <= {int(status), None}

    names = {name for name in document["components"]["schemas"] if name.startswith("Problem.")}
    assert used == {f"#/components/schemas/{name}" for name in names}


def test_examples_fit_their_schemas(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    with_examples = {name for name, schema in schemas.items() if "examples" in schema}

    assert {"Record", "CloudEvent", "Accepted", "Problem.invalid-payload"} <= with_examples
    for name in with_examples:
        for example in schemas[name]["examples"]:
            validator_of(document, schemas[name]).validate(example)
    for parameter in document["components"]["parameters"].values():
        for example in parameter["schema"].get("examples", ()):
            validator_of(document, parameter["schema"]).validate(example)


def test_a_schema_that_is_made_of_others_describes_what_the_function_takes(
    document: dict[str, Any],
) -> None:
    tree = validator_of(document, document["components"]["schemas"]["tree.payload"])
    area = validator_of(document, document["components"]["schemas"]["area.payload"])

    assert tree.is_valid({"root": {"value": 1, "children": [{"value": 2}]}})
    assert not tree.is_valid({"root": {"value": 1, "children": [{"value": "2"}]}})
    assert area.is_valid({"shape": {"type": "square", "side": 2}})
    assert not area.is_valid({"shape": {"type": "circle", "side": 2}})


def test_a_function_is_described_with_its_own_words(document: dict[str, Any]) -> None:
    order = document["paths"]["/functions/order"]["post"]

    assert order["description"] == "Take an order.\n\nOf several lines."
    assert order["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/order.payload"
    }
    result = order["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    assert result["result"] == {"$ref": "#/components/schemas/order.result"}
    assert document["components"]["schemas"]["numbers.result"] == {
        "type": "array",
        "items": {"type": "integer"},
    }


def test_classes_of_one_name_are_told_apart_and_any_name_is_a_component(
    document: dict[str, Any],
) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["tree.payload-Node"]["properties"].keys() == {"value", "children"}
    assert schemas["leaves.payload-Node"]["properties"].keys() == {"größe"}
    assert schemas["leaves.payload-Gr__e"]["enum"] == [1, 2]
    assert not list(every(document, "$defs"))


def test_a_body_is_required_where_an_empty_one_does_not_fit(document: dict[str, Any]) -> None:
    def is_required(path: str) -> bool:
        required: bool = document["paths"][path]["post"]["requestBody"]["required"]
        return required

    assert is_required("/functions/order")
    assert not is_required("/functions/fail")
    assert not is_required("/functions/{name}")


def test_limits_are_those_of_the_settings(registry: Registry) -> None:
    settings = Settings.from_environment({"EYAS_MAX_BATCH": "7", "EYAS_MAX_DELAY_SECONDS": "9"})
    document = document_of(registry, settings)
    body = document["paths"]["/functions/order/batch"]["post"]["requestBody"]

    assert body["content"]["application/json"]["schema"]["maxItems"] == 7
    assert document["components"]["parameters"]["Eyas-Delay"]["schema"]["maximum"] == 9


def test_the_same_functions_and_settings_are_described_in_the_same_way(registry: Registry) -> None:
    assert document_of(registry, EMULATOR) == document_of(registry, EMULATOR)
    assert document_of(registry, EMULATOR) != document_of(registry, PRODUCTION)
