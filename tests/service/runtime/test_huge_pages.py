"""Large mappings in use move to huge pages, and nothing else changes."""

import mmap
import re
from pathlib import Path

import numpy as np
import pytest

from service.runtime import memory
from service.runtime.memory import large_ranges, request_huge_pages, use_huge_pages

SIZE = 2 << 20
ANONYMOUS, FILE = "rw-p 00000000 00:00 0", "rw-p 00000000 fe:00 1234"


def mapping(start: int, pages: int, kind: str, name: str, resident: float, huge: int = 0) -> str:
    """Return the kernel's lines for a mapping of `pages` huge pages that starts 4 KiB early."""
    at = start * SIZE - 4096
    return (
        f"{at:x}-{at + pages * SIZE:x} {kind}          {name}\n"
        f"Size:           {pages * SIZE // 1024} kB\nRss:            "
        f"{int(resident * pages * SIZE) // 1024} kB\nAnonHugePages:  {huge * SIZE // 1024} kB\n"
        "VmFlags: rd wr mr mw me ac sd\n"
    )


@pytest.mark.parametrize(
    ("described", "found"),
    [
        (mapping(10, 8, ANONYMOUS, "", 1.0), [(10, 7)]),
        (mapping(10, 8, ANONYMOUS, "[heap]", 0.95), [(10, 7)]),
        (mapping(10, 8, ANONYMOUS, "[anon: weights]", 1.0, huge=3), [(10, 7)]),
        (mapping(10, 8, ANONYMOUS, "", 1.0, huge=7), []),
        (mapping(10, 8, ANONYMOUS, "", 0.5), []),
        (mapping(10, 8, ANONYMOUS, "[stack]", 1.0), []),
        (mapping(10, 8, FILE, "/weights.bin", 1.0), []),
        (mapping(10, 8, ANONYMOUS.replace("w", "-"), "", 1.0), []),
        (mapping(10, 1, ANONYMOUS, "", 1.0), []),
        (mapping(10, 2, ANONYMOUS, "", 1.0) + mapping(90, 3, ANONYMOUS, "", 1), [(10, 1), (90, 2)]),
    ],
)
def test_only_large_private_full_mappings_are_requested(
    described: str, found: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "smaps").write_text(described)
    monkeypatch.setattr(memory, "MAPS", tmp_path / "smaps")
    assert [(start / SIZE, length / SIZE) for start, length in large_ranges(SIZE)] == found


def test_moving_to_huge_pages_keeps_the_content() -> None:
    values = np.frombuffer(mmap.mmap(-1, 16 * SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANON), np.uint8)
    values[:] = np.arange(16 * SIZE) % 251
    before = in_huge_pages()
    request_huge_pages(-(-values.ctypes.data // SIZE) * SIZE, 15 * SIZE)
    assert (values == np.arange(16 * SIZE) % 251).all()
    if in_huge_pages() == before:
        pytest.skip("this machine's kernel had no huge pages to give")


def test_freed_weights_do_not_keep_the_request() -> None:
    """Else the kernel fills a huge page for each small object at the addresses of freed weights."""
    values = np.frombuffer(mmap.mmap(-1, 16 * SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANON), np.uint8)
    values[:] = 1
    before, start = in_huge_pages(), -(-values.ctypes.data // SIZE) * SIZE
    request_huge_pages(start, 15 * SIZE)
    if in_huge_pages() < before + 15 * SIZE:
        pytest.skip("this machine's kernel had no huge pages to give")
    flags = flags_of_mapping(start)
    assert "nh" in flags
    assert "hg" not in flags


def flags_of_mapping(address: int) -> set[str]:
    """Return the kernel's flags of the mapping that holds the address."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if found := re.match(r"(\w+)-(\w+) ", line):
            inside = int(found[1], 16) <= address < int(found[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return set(line.split()[1:])
    raise AssertionError("no such mapping")


def in_huge_pages() -> int:
    """Return the bytes of this process in huge pages."""
    found = re.findall(r"^AnonHugePages:\s+(\d+)", Path("/proc/self/smaps").read_text(), re.M)
    return 1024 * sum(map(int, found))


@pytest.mark.parametrize("setting", ["always madvise [never]\n", None])
def test_no_pages_are_requested_if_switched_off(
    setting: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if setting is not None:
        (tmp_path / "enabled").write_text(setting)
    monkeypatch.setattr(memory, "SETTINGS", tmp_path)
    assert use_huge_pages() == 0
