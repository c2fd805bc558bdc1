"""The Procfile and supervisord.conf describe the same processes, and stop them softly."""

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PREFIX = 'PATH="$PWD/.venv/bin:$PATH" exec '
LINES = [
    line.split(": ", 1) for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
]
PROCFILE = dict(LINES)
CONFIG = configparser.RawConfigParser(inline_comment_prefixes=(";",))
CONFIG.read(ROOT / "supervisord.conf", encoding="utf-8")
PROGRAMS = {
    section.removeprefix("program:"): CONFIG[section]
    for section in CONFIG.sections()
    if section.startswith("program:")
}


def test_both_files_have_the_same_processes() -> None:
    assert len(LINES) == len(PROCFILE)
    assert set(PROCFILE) == set(PROGRAMS)


def test_web_is_first_so_that_honcho_gives_it_the_port_as_it_is() -> None:
    assert next(iter(PROCFILE)) == "web"


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_files_run_the_same_command(name: str) -> None:
    assert PROCFILE[name] == PREFIX + PROGRAMS[name]["command"]
    assert PROGRAMS[name]["command"] == f"python -m runtime.{name}"
    assert (ROOT / "runtime" / name / "__main__.py").is_file()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_stopped_softly_and_wholly(name: str) -> None:
    program = PROGRAMS[name]
    assert program["stopsignal"] == "TERM"
    assert not program.getboolean("stopasgroup")
    assert program.getboolean("killasgroup")
    assert program.getint("stopwaitsecs") >= 10


def test_only_what_differs_for_a_reason_differs_between_programs() -> None:
    reasons = {"command", "priority", "stopwaitsecs"}
    common = [
        {key: value for key, value in program.items() if key not in reasons}
        for program in PROGRAMS.values()
    ]
    assert all(options == common[0] for options in common)


def test_the_broker_starts_first_and_stops_last() -> None:
    by_priority = sorted(PROGRAMS, key=lambda name: PROGRAMS[name].getint("priority"))
    assert by_priority == ["broker", "worker", "scheduler", "web", "flower"]


def test_nothing_is_tied_to_one_folder() -> None:
    paths = re.findall(r"data/supervis\S+", "\n".join(CONFIG["supervisord"].values()))
    assert paths == ["data/supervisord.log", "data/supervisord.pid"]
    assert CONFIG["unix_http_server"]["file"] == "data/supervisor.sock"
    assert CONFIG["unix_http_server"]["chmod"] == "0700"
    assert CONFIG["supervisorctl"]["serverurl"] == "unix://data/supervisor.sock"
    assert (ROOT / "data").is_dir()
