"""The dashboard and the alert rules name metrics, labels and events that there are."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.invocation import Status

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROMTOOL = shutil.which("promtool")
PAGE = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
METRICS = set(re.findall(r"^\| `(eyas_[a-z_]+)`", PAGE, re.MULTILINE))
HISTOGRAMS = set(re.findall(r"^\| `(eyas_[a-z_]+)` \| histogram", PAGE, re.MULTILINE))
SAMPLES = METRICS - HISTOGRAMS | {
    f"{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")
}


def expressions() -> Iterator[str]:
    for group in rules()["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def rules() -> Any:
    return yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))


def dashboard() -> Any:
    return json.loads((DEPLOY / "grafana" / "eyas.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("expression", [*expressions()])
def test_what_is_asked_for_is_there(expression: str) -> None:
    named = set(re.findall(r"\beyas_[a-z_]+", expression))

    assert named
    assert named <= SAMPLES
    assert expression.count("(") == expression.count(")")
    for statuses in re.findall(r'status=~?"([a-z|]+)"', expression):
        assert set(statuses.split("|")) <= set(Status)


@pytest.mark.skipif(PROMTOOL is None, reason="Prometheus is not installed")
def test_alerts_fire_when_they_should() -> None:
    tested = subprocess.run(
        [str(PROMTOOL), "test", "rules", "alerts_test.yml"],
        cwd=DEPLOY / "prometheus",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {
        name
        for panel in dashboard()["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\beyas_[a-z_]+", target["expr"])
    }
    elsewhere = {"eyas_functions", "eyas_build_info", "eyas_invocations_recovered_total"}

    assert {name.removesuffix("_bucket") for name in shown} | elsewhere == METRICS


def test_panels_do_not_overlap() -> None:
    taken = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells


def test_alerts_say_what_to_do() -> None:
    for group in rules()["groups"]:
        for rule in group["rules"]:
            assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert rule["annotations"]["description"].endswith(".")
