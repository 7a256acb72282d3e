"""Measures the time of each part of a training step."""

import time

import torch

STEP_PARTS = ("data", "forward", "backward", "optimizer")


class Stopwatch:
    """`start` a step, `lap` at the end of each of its STEP_PARTS in turn, `take` the sums.

    A GPU works asynchronously. There the marks are events in its queue, and only `take` waits for
    them.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._marks: list[list[float | torch.cuda.Event]] = []

    def start(self) -> None:
        """Begin a step."""
        self._marks.append([self._now()])

    def lap(self) -> None:
        """End the current part of the step."""
        self._marks[-1].append(self._now())

    def take(self) -> dict[str, float]:
        """Return the seconds of each part since the last call, `data_seconds` and so on, and the
        number of timed steps, `timed_steps`. Steps before a resume are not timed.
        """
        if self._on_gpu:
            torch.cuda.synchronize()
        totals = dict.fromkeys(STEP_PARTS, 0.0)
        for marks in self._marks:
            for part, begin, end in zip(STEP_PARTS, marks, marks[1:], strict=False):
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
