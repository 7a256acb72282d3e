"""The weights in pages of 2 MiB (or what the processor has) instead of 4 KiB.

A step of one word reads all weights once. In small pages that is thousands of addresses to look up,
which whatever ran since the last step has pushed out of the processor's table of them (the TLB):
after a request's Python, a step of a 2 × 650 model took 0.61 ms, and 0.39 in huge pages.

Linux gives them to who asks, where its administrator did not switch them off
(https://docs.kernel.org/admin-guide/mm/transhuge.html). Anywhere else nothing happens here.
"""

import ctypes
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

SETTINGS = Path("/sys/kernel/mm/transparent_hugepage")
MAPS = Path("/proc/self/smaps")
ANONYMOUS = re.compile(r"(\w+)-(\w+) rw-p 0+ 00:00 0\s*(?:\[(?:heap|anon.*)\])?$")
MADV_COLLAPSE = 25  # at once; Linux 6.1. Before it, MADV_HUGEPAGE lets the kernel take its time
FULL = 0.9  # of a mapping in use: a page for what nobody touched yet would only take memory


def use_huge_pages() -> int:
    """Put what is large and in use of this process's memory into huge pages, as far as may be.

    Returns how many bytes were asked for. Takes some ten milliseconds.
    """
    try:
        if "[never]" in (SETTINGS / "enabled").read_text():
            return 0
        size = int((SETTINGS / "hpage_pmd_size").read_text())
        ranges = list(large_ranges(size))
    except (OSError, ValueError):
        return 0
    for begin, length in ranges:
        ask_for_huge_pages(begin, length)
    return sum(length for _, length in ranges)


def ask_for_huge_pages(begin: int, length: int) -> None:
    """A refusal changes nothing."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for advice in (mmap.MADV_HUGEPAGE, MADV_COLLAPSE):
        madvise(begin, length, advice)


def large_ranges(size: int) -> Iterator[tuple[int, int]]:
    """Where pages of `size` bytes fit in mappings that are full and not in such pages yet: begin
    and length.
    """
    for span, resident, huge in _anonymous():
        begin, end = -(-span[0] // size) * size, span[1] // size * size
        if end - begin > huge and resident >= FULL * (span[1] - span[0]):
            yield begin, end - begin


def _anonymous() -> Iterator[tuple[tuple[int, int], int, int]]:
    """Of each private mapping of no file its addresses, the bytes in memory, and those in huge
    pages.
    """
    span, resident = None, 0
    for line in MAPS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Rss":
            resident = int(value.split()[0]) * 1024
        elif name == "AnonHugePages" and span is not None:
            yield span, resident, int(value.split()[0]) * 1024
        elif "-" in name and " " in name:  # a mapping's head
            found = ANONYMOUS.match(line)
            span = (int(found[1], 16), int(found[2], 16)) if found else None
