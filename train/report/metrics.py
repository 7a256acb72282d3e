"""The measurements of a run as JSON lines, and the speeds computed from them.

    {"kind": "train", "step": 50, "epoch": 1, "seconds": 9.912, "tokens": 56000, …}
    {"kind": "validation", "step": 830, "epoch": 1, "seconds": 147.1, "perplexity": 193.2}

`seconds` is the time of the whole run so far. `tokens` counts those since the last train line. The
seconds of the parts of a step are sums over `timed_steps` steps, which are fewer than all steps of
the interval if the run was stopped in it.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median_high
from typing import Any

from train.runtime.atomic import write_file
from train.runtime.stopwatch import STEP_PARTS

Line = dict[str, Any]


class MetricsLog:
    """A log of JSON objects, one per line.

    Lines after `step` are dropped at the start, because a resumed run writes them again.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self._followers: list[Callable[[list[Line]], None]] = []
        kept = [line for line in read_metrics(path) if line["step"] <= step]
        write_file(path, b"".join(json.dumps(line).encode() + b"\n" for line in kept))

    def follow(self, follower: Callable[[list[Line]], None]) -> None:
        """Call `follower` with the present lines, possibly none, and then with each new line."""
        follower(read_metrics(self.path))
        self._followers.append(follower)

    def write(self, **figures: Any) -> None:
        """Append one line. Raises OSError."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")
        for follower in self._followers:
            follower([figures])


def read_metrics(path: Path) -> list[Line]:
    """Return all complete lines, without a last line that a kill cut off."""
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
    """The steps and speeds between two train lines.

    `tokens_per_second` is None for the first line of an epoch, because an evaluation may precede
    it. `milliseconds` has the mean time of each of STEP_PARTS in one step, or is empty if it was
    not measured.
    """

    steps: int
    tokens_per_second: float | None
    milliseconds: dict[str, float]


def interval(before: Line | None, line: Line) -> Interval:
    """Return the interval that ends at a train line; `before` is the train line before it."""
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
    """Return the median speed of training, without evaluations and pauses; 0 if unknown."""
    rates = [i.tokens_per_second for i in _intervals(lines) if i.tokens_per_second is not None]
    return median_high(rates) if rates else 0.0


def step_milliseconds(lines: Iterable[Line]) -> dict[str, float]:
    """Return the mean time of each part of a step, over all intervals with measured times."""
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
