"""What a stack shows of itself at one moment: its metrics and its functions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

_FAILURES = ("failed", "expired")


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many observations there were: of those that are in seconds up to each of the limits.

    The counts are cumulative, and the last limit is infinite, as Prometheus has them.
    """

    limits: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionReading:
    """What is counted of one function. `failed` are those that have failed or have expired."""

    accepted: float = 0
    finished: float = 0
    failed: float = 0
    queued: int = 0
    running: int = 0
    retrying: int = 0
    dead: int = 0
    wait: Histogram = Histogram()
    run: Histogram = Histogram()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All that is read at one moment, in monotonic seconds.

    Without `is_broker_up`, nothing but the names of the functions is known.
    """

    at: float
    is_broker_up: bool
    workers: int = 0
    oldest_queued_seconds: float = 0.0
    messages: Mapping[str, int] = field(default_factory=dict)
    functions: Mapping[str, FunctionReading] = field(default_factory=dict)


def read(metrics: str, *, functions: Iterable[str], at: float) -> Reading:
    """Read the answer of `GET /metrics`, and the names that `GET /functions` has.

    Raises `ValueError` if it is no text of metrics, or has not those of Eyas.
    """
    try:
        return _read(metrics, functions=functions, at=at)
    except (LookupError, OverflowError, TypeError, AttributeError) as error:
        # The parser does not expect every text there is.
        raise ValueError(f"these are no metrics of Eyas: {error!r}") from error


def _read(metrics: str, *, functions: Iterable[str], at: float) -> Reading:
    values: dict[tuple[str, str], float] = defaultdict(float)
    counted: dict[tuple[str, str], dict[float, float]] = defaultdict(dict)
    messages: dict[str, int] = {}
    names = dict.fromkeys(functions)
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            name = sample.labels.get("function", "")
            if "function" in sample.labels:
                names[name] = None
            match sample.name:
                case "eyas_queue_wait_seconds_bucket" | "eyas_attempt_duration_seconds_bucket":
                    counted[family.name, name][float(sample.labels["le"])] = sample.value
                case "eyas_messages":
                    messages[sample.labels["place"]] = int(sample.value)
                case "eyas_invocations_open":
                    values[sample.labels["status"], name] = sample.value
                case "eyas_invocations_finished_total":
                    values[sample.name, name] += sample.value
                    if sample.labels["status"] in _FAILURES:
                        values["failed", name] += sample.value
                case _:
                    values[sample.name, name] = sample.value
    if ("eyas_broker_up", "") not in values:
        raise ValueError("these are no metrics of Eyas")
    is_broker_up = bool(values["eyas_broker_up", ""])
    return Reading(
        at=at,
        is_broker_up=is_broker_up,
        workers=int(values["eyas_workers", ""]),
        oldest_queued_seconds=values["eyas_oldest_queued_age_seconds", ""],
        messages=messages,
        functions={
            name: FunctionReading(
                accepted=values["eyas_invocations_accepted_total", name],
                finished=values["eyas_invocations_finished_total", name],
                failed=values["failed", name],
                queued=int(values["queued", name]),
                running=int(values["running", name]),
                retrying=int(values["retrying", name]),
                dead=int(values["eyas_dead_letters", name]),
                wait=_histogram(counted["eyas_queue_wait_seconds", name]),
                run=_histogram(counted["eyas_attempt_duration_seconds", name]),
            )
            for name in sorted(names)
        },
    )


def _histogram(counted: Mapping[float, float]) -> Histogram:
    limits = tuple(sorted(counted))
    return Histogram(limits=limits, counts=tuple(counted[limit] for limit in limits))
