"""What becomes of a process when its parent is gone (Linux).

https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
"""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

# Loaded at import: between fork and exec a child should do as little as possible.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent(signal_number: signal.Signals) -> None:
    """Have the kernel send this signal to this process when the parent ends, however that comes.

    It outlives `exec`, and is not inherited by children. Other systems than Linux have no such
    thing; there nothing happens.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
