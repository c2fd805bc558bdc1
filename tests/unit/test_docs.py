"""What the documentation says is there, and what is there is in the documentation."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from falcon.inspect import inspect_routes

from runtime.registry import Registry
from runtime.settings import Settings
from runtime.store import AsyncStore, GroupCommit, Watcher
from runtime.web.app import create_app
from runtime.web.aws.api import LambdaApi
from runtime.web.aws.operations import OPERATIONS
from runtime.web.invoking import Invoker

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]

EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
LOG_METHODS = frozenset({"debug", "info", "warning", "error", "critical", "exception", "log"})
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|Users|work|tmp|usr|opt|var|mnt|srv)\b")


def events_in_the_code() -> set[str]:
    return {name for path in (ROOT / "runtime").rglob("*.py") for name in events_of(path)}


def events_of(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # `write = log.error`, and then `write("flower.request", ...)`.
    chosen = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_log_method(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        # By this name, the log machinery makes lines of its own.
        given = [k.value for k in node.keywords if k.arg == "event"]
        if _is_log_method(node.func) or (
            isinstance(node.func, ast.Name) and node.func.id in chosen
        ):
            is_level_first = isinstance(node.func, ast.Attribute) and node.func.attr == "log"
            given += node.args[1:2] if is_level_first else node.args[:1]
        for value in given:
            if isinstance(value, ast.Constant) and EVENT.fullmatch(str(value.value)):
                yield str(value.value)


def _is_log_method(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_log_method(node.body) or _is_log_method(node.orelse)
    return isinstance(node, ast.Attribute) and node.attr in LOG_METHODS


def events_in_the_table() -> list[str]:
    text = (DOCS / "logs.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", text, re.MULTILINE)


def anchors_of(page: Path) -> set[str]:
    """Return the fragments of a page's headings, as GitHub makes them."""
    text = CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_the_search_finds_events_however_they_are_logged() -> None:
    found = events_in_the_code()

    assert {
        "request.finished",  # the method is chosen first
        "broker.output",  # log.log(level, name)
        "process.crashed",  # the log machinery's own
        "log.resumed",
        "worker.ready",
    } <= found


def test_the_table_lists_every_log_event_once_and_no_other() -> None:
    listed = events_in_the_table()

    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == events_in_the_code()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = CODE_BLOCK.sub("", page.read_text(encoding="utf-8"))
    for link in LINK.finditer(text):
        target, _, fragment = link["target"].partition("#")
        if "://" in target:
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{page.name} links to {link['target']}"
        if fragment:
            assert fragment in anchors_of(file), f"{page.name} links to {link['target']}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_path_of_somebodys_machine(page: Path) -> None:
    assert MACHINE_PATH.findall(page.read_text(encoding="utf-8")) == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_every_decision_is_in_the_index() -> None:
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    pages = sorted(path.name for path in (DOCS / "decisions").glob("0*.md"))

    assert re.findall(r"^\| \[\d+\]\((\S+)\)", index, re.MULTILINE) == pages


def test_files_that_pages_name_exist() -> None:
    named = re.compile(r"`((?:runtime|tests|functions|loadtests)/[\w/]+(?:\.\w+)?/?)`")
    # What a reader is told to write.
    own = {"functions/_shared.py"}
    for page in PAGES:
        for name in set(named.findall(page.read_text(encoding="utf-8"))) - own:
            assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_every_route_is_documented_with_its_methods() -> None:
    nowhere = "redis://127.0.0.1:1/0"
    invoker = Invoker(
        settings=Settings.from_environment({}),
        store=AsyncStore(nowhere),
        commits=GroupCommit(nowhere),
        watcher=Watcher(nowhere),
    )
    app = create_app(
        registry=Registry(),
        settings=invoker.settings,
        store=invoker.store,
        commits=invoker.commits,
        watcher=invoker.watcher,
    )
    routes = {
        f"{method.method} {route.path}"
        for route in inspect_routes(app)
        for method in route.methods
        if not method.internal
    }
    # A sink serves these.
    supported = LambdaApi(registry=Registry(), invoker=invoker).answering
    routes |= {f"{one.method} {one.path}" for one in OPERATIONS if one.name in supported}
    text = (DOCS / "http.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| \[`([A-Z]+ /\S*)`\]", text, re.MULTILINE))

    assert len(routes) >= 9
    assert documented == routes
