"""What processes use, as the kernel says in /proc: CPU time, and memory."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12  # after the name, counted from 0; see proc_pid_stat(5)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that processes have used; one that has ended counts as none."""
    return sum(_cpu_seconds(pid) for pid in pids)


def memory_bytes(pids: Iterable[int]) -> int:
    """Return their memory in bytes: what they share is counted once (PSS)."""
    return sum(_memory_bytes(pid) for pid in pids)


def _cpu_seconds(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # The name is in brackets, and may hold anything.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS_PER_SECOND


def _memory_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
