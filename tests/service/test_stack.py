"""What `runtime.testing.Stack` promises those who write tests with it."""

from pathlib import Path

from runtime.testing import Stack

MODULE = """
from runtime import function


@function(every=30)
def often() -> None: ...
"""


def test_a_stack_that_is_there_or_reset_has_planned_its_schedules(tmp_path: Path) -> None:
    folder = tmp_path / "scheduled_functions"
    folder.mkdir()
    (folder / "often.py").write_text(MODULE)

    with Stack(functions_dir=folder) as stack:
        for _ in range(3):
            stack.advance(31)
            assert stack.request("/functions/often").body["counts"]["accepted"] == 1
            stack.reset()
