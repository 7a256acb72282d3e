import time
from itertools import count

import pytest
import torch

from train.runtime.stopwatch import Stopwatch


def test_seconds_are_summed_by_part_and_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    squares = (float(n * n) for n in count())  # laps of 1, 3, 5 and 7 seconds, then 11, 13, …
    monkeypatch.setattr(time, "perf_counter", lambda: next(squares))
    watch = Stopwatch(torch.device("cpu"))
    for _ in range(2):
        watch.start()
        for _ in range(4):
            watch.lap()
    assert watch.take() == {
        "timed_steps": 2,
        "data_seconds": 1 + 11,
        "forward_seconds": 3 + 13,
        "backward_seconds": 5 + 15,
        "optimizer_seconds": 7 + 17,
    }
    assert set(watch.take().values()) == {0.0}
