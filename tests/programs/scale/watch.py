"""A monitor of `python -m train`: its memory, and the growth of its files.

Anonymous memory (RssAnon) is the memory of the run itself. Resident memory (VmRSS) also counts the
pages of mapped files, which the kernel frees when another program needs memory.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import IO, Any

import train
from train.report.metrics import read_metrics

ROOT = Path(train.__file__).parent.parent
SAMPLE_SECONDS = 0.02
LOG_EVERY_STEPS = 10


@dataclass
class Memory:
    """The largest observed values, in bytes."""

    anonymous: int = 0
    resident: int = 0

    def see(self, process: int) -> None:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
        fields = dict(line.split(":\t") for line in status.splitlines() if " kB" in line)
        if fields:  # missing after the end of the process
            self.anonymous = max(self.anonymous, int(fields["RssAnon"].split()[0]) << 10)
            self.resident = max(self.resident, int(fields["VmRSS"].split()[0]) << 10)


class Watched:
    """The command on one text, in a process that can be stopped and continued."""

    def __init__(
        self, config: Path, data: Path, folder: Path, *overrides: str, progress: IO[Any] | int
    ) -> None:
        self.out, self.cache, self.progress = folder / "out", folder / "cache", progress
        settings = [f"train.log_every_steps={LOG_EVERY_STEPS}", *overrides]
        self.command = [
            *(sys.executable, "-m", "train", str(config), "--data", str(data)),
            *("--out", str(self.out), "--cache", str(self.cache)),
            *(part for setting in settings for part in ("--set", setting)),
        ]
        self.preparing, self.training = Memory(), Memory()
        self.growth: list[tuple[float, int]] = []  # time, and tokens on the disk

    def prepare(self) -> None:
        """Wait until tokenization has ended and training starts."""
        self.start()
        try:
            while not (self.out / "metrics.jsonl").exists():
                self.see(self.preparing)
                tokens = self._tokens()
                if tokens > (self.growth[-1][1] if self.growth else 0):
                    self.growth.append((time.monotonic(), tokens))
                time.sleep(SAMPLE_SECONDS)
        finally:
            self.stop()

    def start(self, threads: int = 0) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)} if threads else None
        self.process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=self.progress,
        )

    def see(self, memory: Memory) -> None:
        """Record memory and progress. Raise RuntimeError if the process has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"python -m train ended with code {self.process.returncode}")
        memory.see(self.process.pid)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def tokens(self) -> int:
        return self.growth[-1][1]

    @property
    def tokenizing_rate(self) -> float:
        """Return tokens per second from the first block on disk to the last, 0 for one block."""
        (begun, least), (ended, most) = self.growth[0], self.growth[-1]
        return (most - least) / (ended - begun) if ended > begun else 0.0

    def steps(self) -> int:
        return max((line["step"] for line in read_metrics(self.out / "metrics.jsonl")), default=0)

    @property
    def training_rate(self) -> float:
        """Return tokens per second, by the median interval of the log."""
        lines = [x for x in read_metrics(self.out / "metrics.jsonl") if x["kind"] == "train"]
        rates: list[float] = [
            after["tokens"] / (after["seconds"] - before["seconds"])
            for before, after in pairwise(lines)
            if before["epoch"] == after["epoch"]
        ]
        return median(rates)

    def _tokens(self) -> int:
        try:
            return sum(path.stat().st_size for path in self.cache.glob("*/ids.int32")) // 4
        except OSError:  # renamed at this moment
            return 0


def train_side_by_side(runs: list[Watched], steps: int) -> None:
    """Train all runs at once, on an equal share of the cores, until each has made `steps` steps.

    Other load on the machine slows all of them alike, so the ratio of their rates stays.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // len(runs))
    try:
        for run in runs:
            run.start(threads)
        while min(run.steps() for run in runs) < steps:
            for run in runs:
                run.see(run.training)
            time.sleep(SAMPLE_SECONDS)
    finally:
        for run in runs:
            run.stop()
