"""How handlers say, in a file that no process of the stack writes to by itself, what they do."""

import os
import time

STARTED, ENDED, RAISED = "started", "ended", "raised"


def note(what: str, *, invocation_id: str, attempt: int) -> None:
    """Append a line to the file that the environment names."""
    line = f"{what} {invocation_id} {attempt} {os.getpid()} {time.monotonic():.6f}\n"
    # One write to a file opened for appending: lines of several processes do not mix, and what was
    # written stays written when the process is killed.
    file = os.open(os.environ["CHAOS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
