"""The two lanes of requests, and how long each may wait: a leaf that every layer may import."""

import math
from dataclasses import dataclass
from typing import Literal

Priority = Literal["interactive", "bulk"]
PRIORITIES: tuple[Priority, ...] = ("interactive", "bulk")


@dataclass(frozen=True, slots=True)
class WaitLimits:
    """Seconds of expected waiting beyond which a request is refused, by lane."""

    interactive: float = math.inf
    bulk: float = math.inf

    def of(self, lane: Priority) -> float:
        return self.bulk if lane == "bulk" else self.interactive
