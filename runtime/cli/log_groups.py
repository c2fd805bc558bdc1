"""Log lines by invocation: what `eyas logs --group` prints."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from runtime.cli import durations
from runtime.logs.record import LogRecord
from runtime.logs.render import escape, render

_NOBODYS = ""


@dataclass(slots=True, kw_only=True)
class Group:
    """The lines of one invocation, in their order; those of no invocation have the id ''."""

    invocation_id: str
    records: list[LogRecord] = field(default_factory=list)

    @property
    def function(self) -> str:
        """The first function that a line names."""
        named = (record.fields.get("function") for record in self.records)
        return next((name for name in named if isinstance(name, str)), "")


def grouped(records: Iterable[LogRecord]) -> list[Group]:
    """Group lines by invocation; groups are in the order of their first lines."""
    groups: dict[str, Group] = {}
    for record in records:
        found = record.fields.get("invocation_id")
        name = found if isinstance(found, str) else _NOBODYS
        groups.setdefault(name, Group(invocation_id=name)).records.append(record)
    return list(groups.values())


def lines(group: Group, *, has_colors: bool) -> Iterator[str]:
    """Yield a headline, and each line with the time since the first one."""
    first = group.records[0].timestamp
    name = f"{escape(group.invocation_id)}  {escape(group.function)}".strip()
    local = first.astimezone()
    yield f"{name or 'of no invocation'}  {local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d}"
    for record in group.records:
        fields = dict(record.fields)
        if group.invocation_id:
            fields.pop("invocation_id", None)
            fields.pop("function", None)
        since = durations.in_words((record.timestamp - first).total_seconds())
        yield "  " + render(fields, has_colors=has_colors, clock=f"{'+' + since:>10}").replace(
            "\n", "\n  "
        )
    yield ""
