"""Test that ten times the text takes no more memory; `make scale` is the long form."""

import subprocess
import sys
from pathlib import Path

from tests.programs.scale.__main__ import report
from tests.programs.scale.text import write_corpus
from tests.programs.scale.watch import ROOT, Memory, Watched, train_side_by_side

MEGABYTES = (3, 30)
# Word counts, and memory that the allocator keeps. The text would be 30 MB, its ids 24 MB,
# and a list of them 200 MB.
LARGEST_GROWTH_BYTES = 20 << 20


def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    small, large = runs = [
        Watched(
            ROOT / "train" / "configs" / "tiny.toml",
            write_corpus(tmp_path / f"{megabytes}" / "data", megabytes),
            tmp_path / f"{megabytes}",
            progress=subprocess.DEVNULL,
        )
        for megabytes in MEGABYTES
    ]
    for run in runs:
        run.prepare()
    train_side_by_side(runs, steps=100)
    assert large.tokens > 9.5 * small.tokens > 3e6
    for before, after in ((small.preparing, large.preparing), (small.training, large.training)):
        assert 50e6 < before.anonymous < before.resident
        assert after.anonymous - before.anonymous < LARGEST_GROWTH_BYTES
    table = report(small, large, MEGABYTES)
    assert f"| tokens | {small.tokens:,} | {large.tokens:,} |" in table
    assert "nan" not in table


def test_own_memory_excludes_mapped_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(64 << 20))
    program = f"""
import mmap
own = b"x" * (32 << 20)
with open({str(tmp_path / "file")!r}, "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
sum(mapped[::4096])
print(flush=True)
input()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        memory = Memory()
        memory.see(process.pid)
        process.communicate(b"\n")
    assert 32 << 20 < memory.anonymous < 64 << 20
    assert memory.anonymous + (64 << 20) < memory.resident < 160 << 20
