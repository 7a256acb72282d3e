"""A fake of the function that runs a batch: it records batches, waits at a gate and can fail.

The first job holds the only worker at the gate. Jobs that are queued meanwhile then run in an order
that does not depend on time.
"""

import threading
from dataclasses import dataclass, field

SECONDS = 20.0  # far above what a test takes, so that a hanging batcher fails
MAX_BATCH_TOKENS = 64
MAX_QUEUE_TOKENS = 1000
TIMEOUT_SECONDS = 60.0


@dataclass(eq=False)
class Job:
    name: str
    remaining: int = 1


@dataclass
class FakeRunner:
    """Records its batches. A job named `gate...` waits for the gate; a job named `bad` fails."""

    names: list[list[str]] = field(default_factory=list)
    padded: list[int] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def __call__(self, jobs: list[Job], chunk_length: int) -> None:
        self.names.append([job.name for job in jobs])
        self.padded.append(chunk_length * len(jobs))
        if any(job.name.startswith("gate") for job in jobs):
            self.reached.set()
            assert self.gate.wait(SECONDS)
        if any(job.name == "bad" for job in jobs):
            raise ZeroDivisionError("a bad job")
        for job in jobs:
            job.remaining -= min(chunk_length, job.remaining)

    def first(self, name: str) -> int:
        """Return the index of the first batch that holds the job."""
        return next(index for index, names in enumerate(self.names) if name in names)
