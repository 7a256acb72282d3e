"""Where the time of a step goes."""

import time

import torch

PARTS = ("data", "forward", "backward", "optimizer")


class Stopwatch:
    """`start` a step, `lap` at the end of each of its PARTS in turn, `take` the sums.

    A GPU works behind the program's back: there the marks are events in its own queue, and only
    `take` waits for them.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._marks: list[list[float | torch.cuda.Event]] = []

    def start(self) -> None:
        self._marks.append([self._now()])

    def lap(self) -> None:
        self._marks[-1].append(self._now())

    def take(self) -> dict[str, float]:
        """Seconds in each part since the last call, `data_seconds` and so on, and of how many steps
        (`timed_steps`): fewer than were done where a run went on in between.
        """
        if self._on_gpu:
            torch.cuda.synchronize()
        totals = dict.fromkeys(PARTS, 0.0)
        for marks in self._marks:
            for part, begin, end in zip(PARTS, marks, marks[1:], strict=False):
                totals[part] += _seconds(begin, end)
        steps = len(self._marks)
        self._marks.clear()
        seconds = {f"{part}_seconds": round(total, 4) for part, total in totals.items()}
        return {"timed_steps": steps, **seconds}

    def _now(self) -> "float | torch.cuda.Event":
        if not self._on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event


def _seconds(begin: "float | torch.cuda.Event", end: "float | torch.cuda.Event") -> float:
    if isinstance(begin, float) and isinstance(end, float):
        return end - begin
    assert isinstance(begin, torch.cuda.Event)
    assert isinstance(end, torch.cuda.Event)
    return float(begin.elapsed_time(end)) / 1000
