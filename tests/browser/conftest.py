"""A real browser: Debian's Chromium, or whichever `CHROMIUM` names, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from runtime.testing import Stack

MODULE = '''
import enum
import time
from pathlib import Path

from msgspec import Struct

from runtime import Context, function


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Item(Struct):
    name: str
    count: int = 1


@function
def order(
    items: list[Item], size: Size = Size.SMALL, note: str | None = None, gift: bool | None = None
) -> list[object]:
    """Have parameters of many kinds."""
    return [size.value, note, gift, len(items)]


@function
def large(size: int) -> str:
    """Return a long text."""
    return "<b>x</b>" * size


@function
def steps(marker: str, context: Context) -> None:
    """Report progress until a file is there."""
    done = 0
    while not Path(marker).exists():
        done += 1
        context.progress(done, 1000000, "<i>on</i>")
        print("step", done)
        time.sleep(0.1)


@function(retries=0)
def mend(marker: str) -> str:
    """Fail until a file is there."""
    if not Path(marker).exists():
        raise LookupError("<b>not</b> there: <img src=x onerror=alert(1)>")
    return "mended"


@function
def wait_for(marker: str) -> str:
    """Run until a file is there."""
    print("<script>document.title = 'taken over'</script>")
    while not Path(marker).exists():
        time.sleep(0.01)
    return "there"


@function(schedule="0 3 * * *", timezone="Europe/Berlin")
def nightly() -> None:
    """Run at night."""
'''


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser; not longer than a module, as Playwright's event loop runs in this thread."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium, or CHROMIUM=/its/path")
    with sync_playwright() as playwright:
        # The sandbox needs what containers do not give; only our own page is opened.
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("functions")
    for module in (Path(__file__).parents[2] / "functions").glob("*.py"):
        shutil.copy(module, folder)
    (folder / "odd.py").write_text(MODULE)
    (folder / "broken.py").write_text("import nonsense_that_is_not_there\n")
    with Stack(functions_dir=folder) as started:
        started.wait_until_ready()
        yield started


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A page in a context of its own; what goes wrong in it fails the test."""
    context = browser.new_context(base_url=stack.url)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "console", lambda line: wrong.append(line.text) if "Content Security" in line.text else None
    )
    yield opened
    context.close()
    assert wrong == []
