"""The report: Markdown, plots, and on request the generated part of docs/benchmarks.md."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from loadtests.bench import table
from loadtests.bench.outcome import Outcome
from loadtests.bench.processes import PEERS, PROJECT, python

_BEGIN, _END = "<!-- generated: begin -->", "<!-- generated: end -->"
_PAGE = PROJECT / "docs" / "benchmarks.md"
_IMAGES = PROJECT / "docs" / "images"


def write(folder: Path, *, publishes: bool, say: Callable[[str], None]) -> None:
    """Write `report.md` and the plots from `results.json` in the folder; publish them if asked."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    outcomes = {name: Outcome.from_json(value) for name, value in results["groups"].items()}
    findings = [finding for outcome in outcomes.values() for finding in outcome.findings]
    used = results["options"]
    text = "\n\n".join(
        [
            f"Measured {results['measured_at']}, {used['rounds']} rounds of {used['seconds']:g} s.",
            table.rows(findings),
            "Figures behind the ratios:",
            table.figures(outcomes),
            "Machine and versions:",
            table.facts(results["machine"], results["versions"]),
        ]
    )
    (folder / "report.md").write_text(f"{text}\n", encoding="utf-8")
    images = _plot(folder, say)
    if publishes:
        page = _PAGE.read_text(encoding="utf-8")
        _PAGE.write_text(between_markers(page, text), encoding="utf-8")
        _IMAGES.mkdir(exist_ok=True)
        for image in images:
            shutil.copy(image, _IMAGES)


def between_markers(page: str, text: str) -> str:
    """Return a page with the part between its markers replaced. Raises `ValueError`."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"the page needs the markers {_BEGIN} and {_END}")
    return f"{before}{_BEGIN}\n\n{text}\n\n{_END}{after}"


def _plot(folder: Path, say: Callable[[str], None]) -> list[Path]:
    program = python(PEERS)
    if not program.exists():
        say(f"no plots: they need the environment {PEERS} (make bench)")
        return []
    subprocess.run(
        [program, "-m", "loadtests.bench.plots", folder / "results.json", folder],
        cwd=PROJECT,
        check=True,
    )
    return sorted(folder.glob("*.png"))
