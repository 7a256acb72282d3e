"""A job that is killed at any moment and started again writes what it would have written."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.service.bulk import Jobs
from tests.service.small_blocks import BLOCK_RECORDS, SIZES
from tests.service.wire import ROOT

SECONDS = 120
OUTPUTS = {
    "out.jsonl": ("--tokens", "--errors", "errors.jsonl"),
    "out.jsonl.gz": ("--text", "--id", "key", "--errors", "errors.jsonl.gz"),
    "out.tsv.zst": ("--buckets", "30,60"),
    "out.parquet": ("--tokens",),
    "out.kenlm": ("--format", "kenlm-query"),
}
KILLS = {"out.jsonl": 5}  # the others less often: each is a start


def corpus(path: Path) -> Path:
    """Of 300 documents some are refused."""
    chance = random.Random(5)
    words = ["the", "of", "city", "river", "was", "in", "born", "<unk>", "film", "Zxqvyk"]
    lines = []
    for number in range(300):
        text = " ".join(chance.choices(words, k=chance.randint(0, 60)))
        lines.append('{"text"' if number % 37 == 5 else f'{{"text": "{text}", "key": {number}}}')
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def arguments(folder: Path, name: str) -> list[str]:
    return [str(folder / a) if a.startswith("errors.") else a for a in OUTPUTS[name]]


def start(folder: Path, source: Path, name: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.service.small_blocks", str(source)]
    return subprocess.Popen(
        [*command, "--out", str(folder / name), "--threads", "1", *arguments(folder, name)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> int:
    with process:
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode in (0, -signal.SIGKILL), output
    return process.returncode


def kill_somewhere(process: "subprocess.Popen[str]", state: Path, chance: random.Random) -> int:
    """A few milliseconds after one of the next commits."""
    commits = chance.randint(1, 3)
    seen = state.stat().st_mtime_ns if state.exists() else 0
    while commits and process.poll() is None:
        now = state.stat().st_mtime_ns if state.exists() else 0
        if now not in (0, seen):
            seen, commits = now, commits - 1
        time.sleep(0.0005)
    time.sleep(chance.random() * 0.02)
    process.kill()
    return ended(process)


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files that are left, by their names."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", OUTPUTS)
def test_killed_again_and_again_the_output_is_the_same_to_the_byte(
    tmp_path: Path, name: str, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, size, value in SIZES:
        monkeypatch.setattr(module, size, value)
    source = corpus(tmp_path / "in.jsonl")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert jobs(source, "--out", whole / name, *arguments(whole, name)) == 0
    seed = int.from_bytes(os.urandom(4))
    chance = random.Random(seed)
    kills = 0
    for _ in range(KILLS.get(name, 2)):
        code = kill_somewhere(start(killed, source, name), killed / f"{name}.state", chance)
        kills += code == -signal.SIGKILL
        if code == 0:
            break
    if code != 0:
        assert ended(start(killed, source, name)) == 0
    assert kills >= 2, f"seed {seed}"
    assert contents(killed) == contents(whole), f"seed {seed}"
    parts = -(-300 // BLOCK_RECORDS) // 3 + 1 if name == "out.parquet" else 1
    assert len(contents(whole)) == parts + ("--errors" in OUTPUTS[name])
