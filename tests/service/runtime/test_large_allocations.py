"""Freed weights leave the process, whatever was freed before them."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
from pathlib import Path
from service.runtime.memory import map_large_allocations

MIB = 1 << 20

def anonymous_bytes():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))

if {call}:
    assert map_large_allocations()
np.ones(16 * MIB, np.uint8)  # freed at once: it raises glibc's limit
weights = np.ones(8 * MIB, np.uint8)
behind = [bytes(100_000) for _ in range(50)]  # in use after the weights are freed
before = anonymous_bytes()
del weights
print((before - anonymous_bytes()) / MIB)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is a function of glibc")
def test_freed_weights_return_to_the_system() -> None:
    assert freed_mib(call=True) > 7
    assert freed_mib(call=False) < 1


def freed_mib(*, call: bool) -> float:
    """Return how much memory the process lost when 8 MiB were freed."""
    command = [sys.executable, "-c", PROGRAM.format(call=call)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
