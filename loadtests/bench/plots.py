"""`python -m loadtests.bench.plots RESULTS FOLDER`: plots of a file of results, as images.

Runs in the environment of the peers, which has matplotlib.
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot

from loadtests.bench import curves

_SIZE, _DOTS_PER_INCH = (7.0, 4.0), 120
_BINS = 60
_TAIL = 0.999
_HEADROOM = 1.15
_SHOWN_OVER_TIME = {
    "accepted": "/s",
    "finished": "/s",
    "p50": "ms",
    "p99": "ms",
    "broker": "MB",
    "worker": "MB",
    "slowest write to disk": "ms",
    "stolen": "%",
}


def main(results: Path, folder: Path) -> None:
    """Draw what was measured; what was not gets no file."""
    groups = json.loads(results.read_text(encoding="utf-8"))["groups"]
    found = {name: values for group in groups.values() for name, values in group["curves"].items()}
    if curves.BY_DEPTH in found:
        _lines(
            {"": found[curves.BY_DEPTH]},
            folder / "accepted-by-depth.png",
            title="Accepted per second by what is queued already",
            x="queued",
            y="accepted/s",
        )
    if curves.BY_CONCURRENCY in found:
        _lines(
            {
                "accepted": found[curves.BY_CONCURRENCY],
                "GET /ping of a bare Falcon app": found.get(curves.BARE_BY_CONCURRENCY, []),
            },
            folder / "accepted-by-connections.png",
            title="Requests per second by connections",
            x="connections",
            y="requests/s",
        )
    latencies = [name for name in (curves.ACCEPTED, curves.WAITED) if found.get(name)]
    if latencies:
        _histograms({name: found[name] for name in latencies}, folder / "latency.png")
    if f"{curves.OVER_TIME}, accepted" in found:
        _over_time(found, folder / "soak.png")


def _lines(
    lines: Mapping[str, Sequence[Sequence[float]]], file: Path, *, title: str, x: str, y: str
) -> None:
    figure, axes = pyplot.subplots(figsize=_SIZE)
    for name, points in lines.items():
        xs, ys = [point[0] for point in points], [point[1] for point in points]
        axes.plot(xs, ys, marker="o", label=name)
    if len(lines) > 1:
        axes.legend()
    axes.set_xscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(visible=True, alpha=0.3)
    _save(figure, file)


def _histograms(latencies: dict[str, list[float]], file: Path) -> None:
    figure, all_axes = pyplot.subplots(len(latencies), figsize=(_SIZE[0], 3 * len(latencies)))
    for axes, (name, values) in zip(
        [all_axes] if len(latencies) == 1 else all_axes, latencies.items(), strict=True
    ):
        ordered = sorted(values)
        # Up to the thousandth that is slowest: one of those would flatten all others.
        end = ordered[math.ceil(len(ordered) * _TAIL) - 1]
        axes.hist([value for value in ordered if value <= end], bins=_BINS)
        for percent, style in ((50, "-"), (99, "--")):
            at = ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
            axes.axvline(at, color="black", linestyle=style, label=f"p{percent} {at:.2f} ms")
        axes.legend()
        axes.set(title=name, xlabel="ms", ylabel="requests")
    _save(figure, file)


def _over_time(found: dict[str, Any], file: Path) -> None:
    figure, all_axes = pyplot.subplots(4, 2, figsize=(_SIZE[0] * 1.4, 9.0), sharex=True)
    for axes, (name, unit) in zip(all_axes.flat, _SHOWN_OVER_TIME.items(), strict=True):
        points = found[f"{curves.OVER_TIME}, {name}"]
        axes.plot([point[0] for point in points], [point[1] for point in points])
        axes.set_ylim(0, max(1.0, *(point[1] for point in points)) * _HEADROOM)
        axes.set(title=f"{name}, {unit}", xlabel="s")
        axes.grid(visible=True, alpha=0.3)
    _save(figure, file)


def _save(figure: Any, file: Path) -> None:
    figure.tight_layout()
    # Without the time and the version of what drew it, the same figures give the same file.
    figure.savefig(file, dpi=_DOTS_PER_INCH, metadata={"Software": None})
    pyplot.close(figure)
    print(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
