"""What tests ask of processes."""

from pathlib import Path


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and has not ended; one that nobody has waited for has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
