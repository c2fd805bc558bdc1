"""`python -m tests.browser.screenshots`: take the pictures of the console that the docs show."""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from runtime.testing import Stack
from tests.asking import accept, accept_all, record

IMAGES = Path(__file__).parents[2] / "docs" / "images"
FUNCTIONS = Path(__file__).parents[2] / "functions"
MODULE = '''
from runtime import Context, function


@function(retries=2, backoff=0.2)
def charge(order: int, context: Context) -> str:
    """Charge an order; the bank needs a while."""
    if context.attempt < 3:
        raise ConnectionError("the bank does not answer")
    print("charged order", order)
    return f"order {order} is charged"
'''


def main() -> None:
    """Start a stack, let something happen, and take the pictures."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("needs Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "functions"
        folder.mkdir()
        for module in FUNCTIONS.glob("*.py"):
            shutil.copy(module, folder)
        (folder / "charge.py").write_text(MODULE)
        with Stack(functions_dir=folder) as stack, sync_playwright() as playwright:
            stack.wait_until_ready()
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1100, "height": 780}, base_url=stack.url)
            page.goto("/")
            for turn in range(6):
                accept_all(stack, "fib", [{"number": 10 + n} for n in range(40 * (turn % 3 + 1))])
                page.wait_for_timeout(2000)
            charged = accept(stack, "charge", {"order": 7})
            record(stack, charged)
            page.wait_for_timeout(2500)
            page.screenshot(path=IMAGES / "console-overview.png")
            page.goto(f"/#/invocations/{charged}")
            page.get_by_text("charged order").wait_for()
            page.set_viewport_size({"width": 1100, "height": 930})
            page.screenshot(path=IMAGES / "console-invocation.png")
            page.set_viewport_size({"width": 1100, "height": 780})
            page.goto("/#/functions/fib")
            page.get_by_label("number", exact=True).fill("100")
            page.get_by_label("last_only").check()
            page.get_by_role("button", name="Run").click()
            page.get_by_text("354224848179261915075").wait_for()
            page.screenshot(path=IMAGES / "console-function.png")
            browser.close()


if __name__ == "__main__":
    main()
