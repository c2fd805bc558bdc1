import re
from pathlib import Path

import pytest

from loadtests.bench.eyas import commands
from loadtests.bench.options import parse

GROUPS, QUICK = ("accept", "drain", "idle"), ("accept", "drain")


def test_everything_is_measured_unless_told_otherwise() -> None:
    options = parse([], GROUPS, QUICK)

    assert (options.only, options.rounds, options.is_quick) == (GROUPS, 5, False)


def test_quick_is_less() -> None:
    options = parse(["--quick"], GROUPS, QUICK)

    assert (options.only, options.rounds, options.is_quick) == (QUICK, 3, True)
    assert options.report != parse([], GROUPS, QUICK).report


def test_groups_are_chosen_by_name() -> None:
    assert parse(["--only=idle,accept"], GROUPS, QUICK).only == ("idle", "accept")


def test_an_unknown_group_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--only=idle,odd"], GROUPS, QUICK)

    assert ended.value.code == 2
    assert "no group odd" in capsys.readouterr().err


def test_another_checkout_is_a_folder_with_a_stack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse([f"--against={tmp_path}"], GROUPS, QUICK)
    assert "a checkout has a Procfile" in capsys.readouterr().err

    (tmp_path / "Procfile").write_text("web: exec python -m other.web\n")
    assert parse([f"--against={tmp_path}"], GROUPS, QUICK).against == tmp_path.resolve()
    assert commands(tmp_path) == {"web": ["python", "-m", "other.web"]}


def test_the_stack_is_started_as_the_procfile_says() -> None:
    found = commands()

    assert {"broker", "web", "worker", "scheduler", "flower"} <= set(found)
    assert found["web"] == ["python", "-m", "runtime.web"]


def test_the_locked_peers_are_those_that_are_asked_for() -> None:
    requirements = Path(__file__).parents[2] / "requirements"
    for name in ("bench", "bench-redis5"):
        wanted = re.findall(r"^([\w-]+)", (requirements / f"{name}.in").read_text(), re.MULTILINE)
        locked = re.findall(
            r"^([\w-]+)==", (requirements / f"{name}.txt").read_text(), re.MULTILINE
        )
        assert set(wanted) <= set(locked)
        assert "://" not in re.sub(r"#.*", "", (requirements / f"{name}.txt").read_text())
