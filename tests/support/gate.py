"""A run for the batcher that does nothing but wait at a gate, write down and fail as it is told.

One worker is held at the gate by a first work; what queues meanwhile is then run in an order that
does not depend on time.
"""

import threading
from dataclasses import dataclass, field

SECONDS = 20.0  # far beyond what anything here takes: a hanging batcher fails and does not hang
MAX_BATCH_TOKENS = 64
MAX_QUEUE_TOKENS = 1000
TIMEOUT_SECONDS = 60.0


@dataclass(eq=False)
class Job:
    name: str
    remaining: int = 1


@dataclass
class Run:
    """Writes down what it is given; works named `gate` wait for the gate, `bad` ones fail."""

    names: list[list[str]] = field(default_factory=list)
    padded: list[int] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def __call__(self, works: list[Job], limit: int) -> None:
        self.names.append([work.name for work in works])
        self.padded.append(limit * len(works))
        if any(work.name.startswith("gate") for work in works):
            self.reached.set()
            assert self.gate.wait(SECONDS)
        if any(work.name == "bad" for work in works):
            raise ZeroDivisionError("as it was told")
        for work in works:
            work.remaining -= min(limit, work.remaining)

    def first(self, name: str) -> int:
        """The first run that held the work."""
        return next(index for index, names in enumerate(self.names) if name in names)
