"""A job that is killed at any moment and started again writes the same bytes."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.api_client import ROOT
from tests.support.bulk_job import Jobs
from tests.support.small_blocks import BLOCK_DOCUMENTS, SIZES

SECONDS = 120
ALREADY = "already exists; use --overwrite to replace it"
FINISHED = 1
OUTPUTS = {
    "out.jsonl": ("--tokens", "--errors", "errors.jsonl"),
    "out.jsonl.gz": ("--text", "--id", "key", "--errors", "errors.jsonl.gz"),
    "out.tsv.zst": ("--buckets", "30,60"),
    "out.parquet": ("--tokens",),
    "out.kenlm": ("--format", "kenlm-query"),
}
KILLS = {"out.jsonl": 5}  # the others less often: each is a start


def corpus(path: Path) -> Path:
    """Write 300 documents, some of which have problems."""
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


def start(folder: Path, source: Path, name: str, kill: str = "") -> int:
    """Run a job to its end, or until it kills itself; return its exit code."""
    command = [sys.executable, "-m", "tests.support.small_blocks", str(source)]
    process = subprocess.run(
        [*command, "--out", str(folder / name), "--threads", "1", *arguments(folder, name)],
        cwd=ROOT,
        env={**os.environ, "KILL": kill} if kill else None,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if process.returncode == 1 and ALREADY in process.stderr:
        return FINISHED
    assert process.returncode in (0, -signal.SIGKILL), process.stderr
    return process.returncode


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of all files, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", OUTPUTS)
def test_killed_jobs_write_the_same_bytes(
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
    codes = [
        start(killed, source, name, f"{chance.randint(1, 3)} {chance.random() * 0.02}")
        for _ in range(KILLS.get(name, 2))
    ]
    codes.append(start(killed, source, name))
    assert codes[0] == -signal.SIGKILL, f"seed {seed}"
    assert codes[-1] in (0, FINISHED), f"seed {seed}"  # killed in its last moment, it was finished
    assert contents(killed) == contents(whole), f"seed {seed}"
    parts = -(-300 // BLOCK_DOCUMENTS) // 3 + 1 if name == "out.parquet" else 1
    assert len(contents(whole)) == parts + ("--errors" in OUTPUTS[name])
