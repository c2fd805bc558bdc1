"""CPU-bound: statistics of every column of a CSV text."""

import csv
import io
import statistics
from collections import Counter
from typing import Annotated

from msgspec import Meta, Struct

from runtime import function

_MOST_COMMON_COUNT = 3


class Column(Struct, omit_defaults=True):
    """One column: numeric columns have a minimum, a maximum, a mean and a standard deviation."""

    name: str
    filled: int
    empty: int
    distinct: int
    most_common: list[tuple[str, int]]
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    standard_deviation: float | None = None


class Summary(Struct):
    """What a CSV text holds."""

    rows: int
    columns: list[Column]


@function(timeout=60)
def csv_summary(
    text: str, *, delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
) -> Summary:
    """Summarise a CSV text whose first line names the columns."""
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    if not rows:
        return Summary(rows=0, columns=[])
    names, *records = rows
    columns = []
    for index, name in enumerate(names):
        values = [record[index].strip() if index < len(record) else "" for record in records]
        columns.append(_summarise(name, values))
    return Summary(rows=len(records), columns=columns)


def _summarise(name: str, values: list[str]) -> Column:
    filled = [value for value in values if value]
    counts = Counter(filled)
    column = Column(
        name=name,
        filled=len(filled),
        empty=len(values) - len(filled),
        distinct=len(counts),
        most_common=counts.most_common(_MOST_COMMON_COUNT),
    )
    try:
        numbers = [float(value) for value in filled]
    except ValueError:
        return column
    if numbers:
        column.minimum = min(numbers)
        column.maximum = max(numbers)
        column.mean = statistics.fmean(numbers)
        column.standard_deviation = statistics.pstdev(numbers)
    return column
