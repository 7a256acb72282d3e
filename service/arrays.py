"""Types that every layer of the service shares: arrays, request priorities, cache settings."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]
SoftTarget = tuple[Ids, NDArray[np.float64]]  # ids (k,) and their probabilities (k,)

Priority = Literal["interactive", "bulk"]
PRIORITIES: tuple[Priority, ...] = ("interactive", "bulk")


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Settings of the neural cache: the `window` of positions that it covers, its flatness
    `theta` ≥ 0, and its share `interpolation` of the probability.
    """

    window: int
    theta: float
    interpolation: float

    def within(self, positions: int) -> "CacheSettings":
        """Return settings whose window is no wider than a text of `positions` tokens."""
        return replace(self, window=max(1, min(self.window, positions)))
