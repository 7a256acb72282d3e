"""The process's memory: weights in huge pages, and freed memory returned to the operating system.

A step of one word reads all weights once. In pages of 4 KiB that takes thousands of address
look-ups, and any code that ran since the last step has evicted them from the processor's table (the
TLB). After a request's Python, a step of a 2 × 650 model took 0.61 ms, and 0.39 ms in huge pages,
which are 2 MiB on most processors. Linux provides them on request, unless its administrator
switched them off (https://docs.kernel.org/admin-guide/mm/transhuge.html). Elsewhere nothing
happens.

glibc keeps freed memory in an arena for each thread, for later use. After a bundle is replaced that
is the old bundle's weights, tokenizer and vocabulary: 30 to 100 MB of the starter at each reload,
because the new bundle was loaded in other threads. Freed memory between objects in use cannot be
returned at all, so weights are better not in an arena.
"""

import ctypes
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

SETTINGS = Path("/sys/kernel/mm/transparent_hugepage")
MAPS = Path("/proc/self/smaps")
ANONYMOUS = re.compile(r"(\w+)-(\w+) rw-p 0+ 00:00 0\s*(?:\[(?:heap|anon.*)\])?$")
M_MMAP_THRESHOLD = -3  # of malloc.h
LARGE_BYTES = 4 << 20  # less than weights, more than what requests allocate often
# Collapses pages at once, from Linux 6.1. Before it, MADV_HUGEPAGE lets the kernel take its time.
MADV_COLLAPSE = 25
# The share of a mapping that must be in use. Huge pages for unused parts would only take memory.
MIN_RESIDENT_SHARE = 0.9


def map_large_allocations() -> bool:
    """Give each allocation of LARGE_BYTES or more a mapping of its own, which the system takes back
    when it is freed. Return whether the C library did so.

    glibc does that too, but each such allocation that is freed raises its limit, up to 32 MiB, and
    the next weights then go into an arena. After six reloads of the starter, memory was 166 to
    190 MB with glibc's limit and 162 MB in all of twelve runs with a fixed one.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(M_MMAP_THRESHOLD, LARGE_BYTES))


def return_freed_memory() -> bool:
    """Return freed memory to the operating system, and whether there was any.

    Takes some milliseconds. Nothing happens if the C library is not glibc.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(0))


def use_huge_pages() -> int:
    """Move large mappings in use to huge pages, as far as the kernel allows it.

    Returns how many bytes were requested. Takes some ten milliseconds.
    """
    try:
        if "[never]" in (SETTINGS / "enabled").read_text():
            return 0
        page_bytes = int((SETTINGS / "hpage_pmd_size").read_text())
        ranges = list(large_ranges(page_bytes))
    except (OSError, ValueError):
        return 0
    for start, length in ranges:
        request_huge_pages(start, length)
    return sum(length for _, length in ranges)


def request_huge_pages(start: int, length: int) -> None:
    """Move the addresses to huge pages. If the kernel refuses, nothing changes.

    The advice ends once the pages are huge. Otherwise it would stay with the addresses after the
    weights are freed, and the kernel would fill a whole huge page for each small object there.
    """
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    madvise(start, length, mmap.MADV_HUGEPAGE)
    if madvise(start, length, MADV_COLLAPSE) == 0:
        madvise(start, length, mmap.MADV_NOHUGEPAGE)


def large_ranges(page_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield start and length of the ranges that pages of `page_bytes` fit in, for mappings that are
    in use and not yet in such pages.
    """
    for (start, end), resident, huge in _anonymous_mappings():
        first, last = -(-start // page_bytes) * page_bytes, end // page_bytes * page_bytes
        if last - first > huge and resident >= MIN_RESIDENT_SHARE * (end - start):
            yield first, last - first


def _anonymous_mappings() -> Iterator[tuple[tuple[int, int], int, int]]:
    """Yield the addresses of each private mapping without a file, its bytes in memory, and those of
    them in huge pages.
    """
    span, resident = None, 0
    for line in MAPS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Rss":
            resident = int(value.split()[0]) * 1024
        elif name == "AnonHugePages" and span is not None:
            yield span, resident, int(value.split()[0]) * 1024
        elif "-" in name and " " in name:  # the first line of a mapping
            found = ANONYMOUS.match(line)
            span = (int(found[1], 16), int(found[2], 16)) if found else None
