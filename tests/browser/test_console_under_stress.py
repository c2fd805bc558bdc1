"""The console when things go wrong, are many or large, and for who uses keys or a screen reader."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from runtime.testing import Stack
from tests.asking import accept, accept_all, record

VIEWS = ("", "functions", "functions/order", "invocations", "dead-letters", "schedules", "api")
# WCAG 2.2, 1.4.3: texts whose contrast with what is behind them is below 4.5.
FAINT_TEXTS = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (color) => color.slice(0, 3).map((one) => one / 255)
    .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = (element) => {
    const color = rgb(getComputedStyle(element).backgroundColor);
    return color[3] === 0 ? behind(element.parentElement) : light(color);
  };
  return [...document.querySelectorAll("body *")].filter((one) => {
    const hasText = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText || !one.checkVisibility()) return false;
    const both = [light(rgb(getComputedStyle(one).color)), behind(one)].sort();
    return (both[1] + 0.05) / (both[0] + 0.05) < 4.5;
  }).map((one) => one.outerHTML.slice(0, 200));
}"""


def test_a_search_goes_on_until_it_has_found_something(page: Page, stack: Stack) -> None:
    record(stack, accept(stack, "echo"))
    asked: list[str] = []

    # So it answers when it has looked at many and found none.
    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) < 3:
            route.fulfill(json={"invocations": [], "next_cursor": "OTk5OTk5LjE"})
        else:
            route.continue_(url=re.sub("&cursor=[^&]*", "", route.request.url))

    page.route("**/invocations?*", answer)
    for view in ("invocations?status=succeeded", "functions/echo"):
        asked.clear()
        page.goto(f"/#/{view}")
        expect(page.get_by_role("row").nth(1)).to_contain_text("succeeded")
        assert [("cursor=" in url) for url in asked] == [False, True, True]


def test_a_filter_is_chosen_by_keys_and_undone_by_the_back_button(page: Page, stack: Stack) -> None:
    stack.reset()
    record(stack, accept(stack, "echo"))
    page.goto("/#/invocations")
    expect(page.get_by_role("row")).to_have_count(2)

    page.get_by_label("Status").focus()
    page.keyboard.press("ArrowDown")

    expect(page.get_by_text("None is like that.")).to_be_visible()
    expect(page.get_by_label("Status")).to_be_focused()
    assert page.url.endswith("status=queued")
    page.reload()
    expect(page.get_by_text("None is like that.")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("row")).to_have_count(2)


def test_an_invocation_is_found_by_its_id(page: Page, stack: Stack) -> None:
    wanted = accept(stack, "echo")
    page.goto("/#/invocations?minutes=15&function=echo")
    expect(page.get_by_role("link", name=wanted[:8])).to_be_visible()
    page.get_by_label("Id").fill(f" {wanted} ")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name=wanted)).to_be_visible()


def test_one_that_runs_is_followed_over_a_restart_of_the_server(
    page: Page, stack: Stack, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    running = accept(stack, "wait_for", {"marker": str(marker)})
    page.goto(f"/#/invocations/{running}")
    status = page.locator("#main .status").first
    expect(status).to_have_text("running")
    trouble = page.get_by_text("The server does not answer")
    stack.stop("web")
    try:
        expect(trouble).to_be_visible(timeout=15_000)
        is_red = "e => getComputedStyle(e).color !== getComputedStyle(e.parentElement).color"
        assert trouble.evaluate(is_red)
    finally:
        stack.start("web")
        stack.wait_until_ready()
    expect(trouble).to_have_count(0, timeout=15_000)
    marker.touch()

    expect(status).to_have_text("succeeded", timeout=15_000)


def test_one_that_was_forgotten_is_not_asked_for_again(page: Page, stack: Stack) -> None:
    gone = "00000000-0000-4000-8000-000000000000"
    page.goto(f"/#/invocations/{gone}")

    expect(page.get_by_role("heading", name=f"Invocation {gone}")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.title() == f"{gone} - Invocation - Eyas"
    wanted = record(stack, accept(stack, "echo"))["id"]
    page.route(f"**/{gone}", lambda route: route.continue_(url=f"{stack.url}/invocations/{wanted}"))
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()


def test_many_that_run_leave_connections_for_the_page(
    page: Page, stack: Stack, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    page.goto("/#/functions/wait_for")
    page.get_by_label("marker").fill(str(marker))
    try:
        for _ in range(8):
            with page.expect_response(lambda answer: answer.request.method == "POST"):
                page.get_by_role("button", name="Run").click()
        page.get_by_role("link", name="Schedules").click()
        expect(page.get_by_role("cell", name="Europe/Berlin")).to_be_visible()
    finally:
        marker.touch()


def test_progress_and_logs_are_seen_while_it_runs(page: Page, stack: Stack, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    running = accept(stack, "steps", {"marker": str(marker)})
    try:
        page.goto(f"/#/invocations/{running}")
        expect(page.get_by_role("progressbar")).to_be_visible()
        expect(page.get_by_text("<i>on</i>")).to_be_visible()
        cancel = page.get_by_role("button", name="Cancel")
        cancel.focus()
        expect(page.get_by_role("cell", name=re.compile("step 1$"))).to_be_visible()
        # Ten reports a second read no logs, and leave what is to be pressed in place.
        assert len([url for url in asked if url.endswith("/logs")]) <= 5
        expect(cancel).to_be_focused()
        # Reading it is logged too, and is nothing that happened to it.
        assert "method=GET" not in page.locator("#main").inner_text()
    finally:
        marker.touch()


def test_what_is_long_is_cut_until_it_is_asked_for(page: Page, stack: Stack) -> None:
    long = accept(stack, "large", {"size": 100_000})
    record(stack, long)
    page.goto(f"/#/invocations/{long}")
    result = page.locator("pre").nth(1)
    expect(result).to_contain_text("<b>x</b>")
    assert len(result.inner_text()) == 20_000
    page.get_by_role("button", name="Show all 800,002 characters").click()

    assert len(result.inner_text()) == 800_002
    expect(result).to_be_focused()


def test_forms_have_a_field_for_each_kind_of_schema(page: Page) -> None:
    page.goto("/#/functions/order")
    form = page.get_by_role("form")
    items = form.get_by_label("items")
    expect(items).to_have_value('[{"name": ""}]')
    expect(items).to_have_accessible_description("array of Item, as JSON, required")
    expect(form.get_by_label("size")).to_have_value('"small"')
    expect(form.get_by_label("note")).to_have_accessible_description("string")
    form.get_by_label("note").fill("null")
    form.get_by_label("gift").select_option("false")
    # Enter in a field is Run, though there are several fields.
    form.get_by_label("note").press("Enter")

    expect(form.get_by_text('["small", "null", false, 1]')).to_be_visible()
    items.fill('[{"name": 1}]')
    form.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("/items/0/name")
    expect(items).to_be_focused()
    expect(items).to_have_attribute("aria-invalid", "")
    form.get_by_role("button", name="Write it as JSON").click()
    written = json.loads(form.get_by_label("Payload").input_value())
    assert written == {"items": [{"name": 1}], "size": "small", "note": "null", "gift": False}


def test_null_is_replayed_as_null(page: Page, stack: Stack) -> None:
    [null] = accept_all(stack, "echo", [None])
    page.goto(f"/#/invocations/{null}/replay")

    expect(page.get_by_label("Payload")).to_have_value("null")


def test_the_focus_stays_where_something_was_done(page: Page, stack: Stack, tmp_path: Path) -> None:
    page.goto("/#/schedules")
    page.get_by_role("button", name="Pause nightly").press("Enter")
    expect(page.get_by_role("button", name="Resume nightly")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause nightly")).to_be_focused()

    dead = accept(stack, "mend", {"marker": str(tmp_path / "never")})
    record(stack, dead)
    page.goto("/")
    link = page.get_by_role("list", name="Now").get_by_role("link", name="dead letters")
    link.focus()
    with page.expect_response("**/metrics"), page.expect_response("**/invocations?limit=10"):
        record(stack, accept(stack, "echo"))
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name=f"Purge {dead}").press("Enter")
    expect(page.get_by_role("button", name=f"Purge {dead}")).to_be_focused()
    page.once("dialog", lambda dialog: dialog.accept())
    page.keyboard.press("Enter")
    gone = page.get_by_role("status").filter(has_text=f"{dead} is forgotten.")
    expect(gone).to_be_focused()
    assert stack.request(f"/dead-letters/{dead}").status == 404


def test_runs_of_a_schedule_are_told_apart(page: Page, stack: Stack) -> None:
    ran = stack.request("/schedules/nightly/run", body=b"").body["id"]
    page.goto("/#/invocations?function=nightly")

    expect(page.get_by_role("link", name=ran, exact=True)).to_be_visible()


def test_a_function_that_is_gone_is_told(page: Page, stack: Stack) -> None:
    page.goto("/#/functions/%E0%A4%A")
    expect(page.get_by_role("heading", name="Function %E0%A4%A")).to_be_visible()
    module = stack.functions_dir / "short_lived.py"
    module.write_text("from runtime import function\n@function\ndef mayfly() -> None: ...\n")
    try:
        stack.wait_for(
            lambda: stack.request("/functions/mayfly").status == 200, "the function to be there"
        )
        page.goto("/#/functions/mayfly")
        expect(page.get_by_role("button", name="Run")).to_be_visible()
    finally:
        module.unlink()
    stack.wait_for(lambda: stack.request("/functions/mayfly").status == 404, "it to be gone")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("no function named 'mayfly'")


def test_modules_that_failed_are_told_on_the_overview(page: Page) -> None:
    page.goto("/")

    expect(page.get_by_text("1 module cannot be used")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_are_readable_and_fit_a_phone(
    browser: Browser, stack: Stack, tmp_path: Path, scheme: str
) -> None:
    failed = accept(stack, "mend", {"marker": str(tmp_path / "never")})
    record(stack, failed)
    context = browser.new_context(
        base_url=stack.url,
        color_scheme="light" if scheme == "light" else "dark",
        viewport={"width": 390, "height": 800},
    )
    page = context.new_page()
    for view in (*VIEWS, f"invocations/{failed}"):
        page.goto(f"/#/{view}")
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator("#counts")).to_contain_text("queued")
        assert page.evaluate(FAINT_TEXTS) == [], view
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
    context.close()
