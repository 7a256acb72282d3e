"""What a run measured, as JSON lines, and the speeds that follow from them.

    {"kind": "train", "step": 50, "epoch": 1, "seconds": 9.912, "tokens": 56000, …}
    {"kind": "validation", "step": 830, "epoch": 1, "seconds": 147.1, "perplexity": 193.2}

`seconds` is the time of the whole run so far, `tokens` those of the interval since the last train
line. The seconds of the parts of a step are those of `timed_steps`, which are fewer where a run was
stopped in the interval.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median_high
from typing import Any

from train.runtime.atomic import write_file

Line = dict[str, Any]
STEP_PARTS = ("data", "forward", "backward", "optimizer")


class MetricsLog:
    """JSON objects, one a line. Lines past `step` are dropped: a resumed run writes them anew."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self._followers: list[Callable[[list[Line]], None]] = []
        kept = [line for line in read_metrics(path) if line["step"] <= step]
        write_file(path, b"".join(json.dumps(line).encode() + b"\n" for line in kept))

    def follow(self, follower: Callable[[list[Line]], None]) -> None:
        """Call it with the lines there are, which may be none, and then with each new one."""
        follower(read_metrics(self.path))
        self._followers.append(follower)

    def write(self, **figures: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")
        for follower in self._followers:
            follower([figures])


def read_metrics(path: Path) -> list[Line]:
    """All whole lines; a last line cut by a kill is left out."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


@dataclass(frozen=True)
class Interval:
    """What a train line says together with the train line before it.

    `tokens_per_second` is None for the first line of an epoch, before which an evaluation may
    lie. `milliseconds` are those of one step by `STEP_PARTS`; empty where none were measured.
    """

    steps: int
    tokens_per_second: float | None
    milliseconds: dict[str, float]


def interval(before: Line | None, line: Line) -> Interval:
    steps = line["step"] - (before["step"] if before else 0)
    rate = None
    if before and before["epoch"] == line["epoch"] and line["seconds"] > before["seconds"]:
        rate = line["tokens"] / (line["seconds"] - before["seconds"])
    timed = line.get("timed_steps", steps)
    if not timed or any(f"{part}_seconds" not in line for part in STEP_PARTS):
        return Interval(steps, rate, {})
    parts = {part: 1000 * line[f"{part}_seconds"] / timed for part in STEP_PARTS}
    return Interval(steps, rate, parts)


def tokens_per_second(lines: Iterable[Line]) -> float:
    """Of training alone, by the median interval: evaluations and pauses do not count.

    0 where no interval could be timed.
    """
    rates = [i.tokens_per_second for i in _intervals(lines) if i.tokens_per_second is not None]
    return median_high(rates) if rates else 0.0


def step_milliseconds(lines: Iterable[Line]) -> dict[str, float]:
    """The mean time of a step by its parts, over the intervals where it was measured."""
    timed = [i for i in _intervals(lines) if i.milliseconds]
    steps = sum(i.steps for i in timed)
    return {
        part: sum(i.steps * i.milliseconds[part] for i in timed) / steps
        for part in STEP_PARTS
        if timed
    }


def _intervals(lines: Iterable[Line]) -> Iterator[Interval]:
    before = None
    for line in lines:
        if line["kind"] == "train":
            yield interval(before, line)
            before = line
