import os
import time

from loadtests.bench.usage import cpu_seconds, memory_bytes

NOBODY = 2**22 + 1  # above the highest id that Linux gives


def test_cpu_time_grows_with_work() -> None:
    before = cpu_seconds([os.getpid()])
    deadline = time.process_time() + 0.05
    while time.process_time() < deadline:
        pass

    assert 0.03 <= cpu_seconds([os.getpid()]) - before < 5


def test_memory_is_that_of_all_processes() -> None:
    assert memory_bytes([os.getpid()]) > 1_000_000
    assert memory_bytes([]) == 0


def test_a_process_that_has_ended_counts_as_nothing() -> None:
    assert (cpu_seconds([NOBODY]), memory_bytes([NOBODY])) == (0, 0)
