"""The console in a real browser: what a newcomer does, and what a hostile payload cannot do."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from runtime.testing import Stack
from tests.asking import accept, accept_all, record

LINK_TO_INVOCATION = re.compile(r"#/invocations/[0-9a-f-]{36}$")


def test_a_newcomer_runs_watches_replays_breaks_and_redrives(
    page: Page, stack: Stack, tmp_path: Path
) -> None:
    stack.reset()
    page.goto("/")
    expect(page.get_by_text("Nothing has been invoked yet")).to_be_visible()
    page.get_by_role("link", name="Choose a function").click()
    page.get_by_role("link", name="fib", exact=True).click()

    # Run, and see it end.
    page.get_by_label("number", exact=False).first.fill("100")
    page.get_by_role("button", name="Run").click()
    form = page.get_by_role("form", name="Run fib")
    expect(form.get_by_text("succeeded")).to_be_visible()
    # Every digit of what no double can hold.
    expect(form.get_by_text("354224848179261915075")).to_be_visible()

    # Its story, and a replay with another number.
    form.get_by_role("link", name=re.compile("[0-9a-f-]{36}")).click()
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()
    expect(page.get_by_text("Attempt 1 began")).to_be_visible()
    expect(page.get_by_role("cell", name="request.finished").first).to_be_visible()
    page.get_by_role("link", name="Replay").click()
    page.get_by_label("Payload", exact=False).fill('{"number": 6}')
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("[0, 1, 1, 2, 3, 5, 8]")).to_be_visible()
    expect(page.get_by_text("replay of")).to_be_visible()

    # A payload that does not fit.
    page.goto("/#/functions/fib")
    page.get_by_label("number", exact=False).first.fill("many")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("line 1")
    page.get_by_label("number", exact=False).first.fill('"many"')
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("/number: Expected `int`, got `str`")

    # A dead letter.
    marker = tmp_path / "marker"
    dead = accept(stack, "mend", {"marker": str(marker)})
    record(stack, dead)
    page.get_by_role("link", name="Dead letters").first.click()
    row = page.get_by_role("row").filter(has_text="mend")
    expect(row).to_contain_text("LookupError: <b>not</b> there")
    marker.touch()
    row.get_by_role("button", name="Redrive").click()
    expect(page.get_by_text(f"{dead} is queued again.")).to_be_visible()
    page.goto(f"/#/invocations/{dead}")
    expect(page.get_by_text("It succeeded")).to_be_visible()
    story = page.locator(".timeline li")
    expect(story).to_have_text(
        [
            re.compile("Accepted"),
            re.compile("Attempt 1 began"),
            re.compile("It was given up: LookupError: <b>not</b> there"),
            re.compile("It was taken out of the dead letters"),
            re.compile("Attempt 2 began"),
            re.compile("It succeeded"),
        ]
    )


def test_one_that_runs_is_seen_running_and_ending(page: Page, stack: Stack, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    running = accept(stack, "wait_for", {"marker": str(marker)})
    page.goto(f"/#/invocations/{running}")
    head = page.locator("#main .status").first
    expect(head).to_have_text("running")

    marker.touch()

    expect(head).to_have_text("succeeded")
    expect(page.get_by_text('"there"')).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    # What the handler has printed is text.
    expect(page.get_by_text("<script>document.title")).to_be_visible()
    assert page.title().endswith("Invocation - Eyas")


def test_one_that_runs_is_cancelled(page: Page, stack: Stack, tmp_path: Path) -> None:
    running = accept(stack, "wait_for", {"marker": str(tmp_path / "never")})
    page.goto(f"/#/invocations/{running}")
    page.get_by_role("button", name="Cancel").click()

    expect(page.locator("#main .status").first).to_have_text("cancelled")
    expect(page.get_by_text("somebody asked to cancel", exact=False)).to_be_visible()


def test_lists_are_filtered_and_go_on(page: Page, stack: Stack, tmp_path: Path) -> None:
    stack.reset()
    ids = accept_all(stack, "echo", list(range(120)))
    failed = accept(stack, "mend", {"marker": str(tmp_path / "never")})
    for each in (ids[-1], failed):
        record(stack, each)
    page.goto("/#/invocations")
    expect(page.get_by_role("row")).to_have_count(51)
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_role("row")).to_have_count(101)

    page.get_by_label("Status").select_option("failed")

    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("link", name=failed[:8])).to_have_attribute("href", LINK_TO_INVOCATION)
    page.get_by_label("Function").select_option("echo")
    expect(page.get_by_text("None is like that.")).to_be_visible()


def test_modules_that_failed_are_shown_with_their_traceback(page: Page) -> None:
    page.goto("/#/functions")

    expect(page.get_by_role("heading", name="broken cannot be used")).to_be_visible()
    expect(page.get_by_text("No module named 'nonsense_that_is_not_there'").first).to_be_visible()


def test_a_schedule_is_paused_run_and_resumed(page: Page) -> None:
    page.goto("/#/schedules")
    row = page.get_by_role("row").filter(has_text="nightly")
    expect(row).to_contain_text("Europe/Berlin")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    row.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("Accepted:")).to_be_visible()
    row.get_by_role("button", name="Resume").click()
    expect(row.get_by_role("button", name="Pause")).to_be_visible()


def test_it_is_used_by_keyboard_alone(page: Page) -> None:
    page.goto("/#/functions/echo")
    expect(page.get_by_role("button", name="Run")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Control+a")
    page.keyboard.type('{"by": "keyboard"}')
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Run")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_role("form").get_by_text('{"by": "keyboard"}').last).to_be_visible()


def test_the_api_is_read_operation_by_operation(page: Page) -> None:
    page.goto("/#/api")
    operation = page.get_by_role("group").filter(has_text="POST /functions/fib").first
    operation.locator("summary").click()

    expect(operation.get_by_role("cell", name="422")).to_be_visible()
    expect(operation.get_by_role("cell", name="Idempotency-Key")).to_be_visible()
    expect(operation.get_by_text('"number"').first).to_be_visible()


def test_every_control_has_a_name(page: Page) -> None:
    for view in (
        "",
        "functions",
        "functions/fib",
        "invocations",
        "dead-letters",
        "schedules",
        "api",
    ):
        page.goto(f"/#/{view}")
        expect(page.locator("h1")).to_be_visible()
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, input, select, textarea, a")].filter(
              (one) => !(one.textContent.trim() || one.labels?.length
                         || one.getAttribute("aria-label"))).map((one) => one.outerHTML)"""
        )
        assert nameless == [], view


def test_nothing_is_fetched_from_elsewhere(browser: Browser, stack: Stack) -> None:
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(stack.url)
    expect(page.locator("h1")).to_be_visible()
    context.close()

    assert len(asked) > 10
    assert [url for url in asked if not url.startswith(stack.url)] == []


@pytest.mark.parametrize("name", ["main.js", "style.css", "icon.svg"])
def test_files_are_not_sent_twice(stack: Stack, name: str) -> None:
    first = stack.request(f"/console/{name}")
    again = stack.request(f"/console/{name}", headers={"If-None-Match": first.headers["etag"]})

    assert (first.status, again.status, again.raw) == (200, 304, b"")
    assert stack.request("/console/nothing.js").status == 404
    assert stack.request("/console/..%2f..%2f__init__.py").status == 404
    assert "default-src 'none'" in first.headers["content-security-policy"]


def test_it_says_where_flower_is_only_to_who_can_reach_it(stack: Stack) -> None:
    here = stack.request("/console/about.json").body
    assert here["flower"].startswith("http://127.0.0.1:")

    elsewhere = stack.request("/console/about.json", headers={"Host": "192.0.2.1:8000"})
    assert json.loads(elsewhere.raw)["flower"] is None
