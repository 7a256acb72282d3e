"""How OpenMP's threads wait for their next piece of work: spinning, unless others need the cores.

libgomp's threads spin 300,000 times before they sleep. On idle cores that is right: a step is
hundreds of short parallel pieces, and with OMP_WAIT_POLICY=PASSIVE training took 1.5 times as long
(2 × 400, two cores). On a busy machine a thread spins through its time slice while the thread that
it waits for needs the core, and training was 10 to 50 times slower than with PASSIVE.

The environment decides once, when the library is loaded. But libgomp spins 100 times only as long
as it manages more threads than there are cores (its manual, GOMP_SPINCOUNT). So when the threads of
this process wait for a core, another thread here runs one parallel piece, which gives it threads of
its own, and stays; when nobody waits any more it ends. No figure depends on this: the number of
threads that share a piece of work stays the same.
"""

import os
import threading
import time
from pathlib import Path
from types import TracebackType

import torch

TASKS = Path("/proc/self/task")
GIVEN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # the user has decided
PERIOD_SECONDS = 0.5
# Seconds a second that threads may wait for a core, all together. An idle machine showed 0.01, one
# endless loop on two cores 0.5 and more.
BUSY_SHARE = 0.1
QUIET_PERIODS = 20  # before threads spin again
PARALLEL = 1 << 20  # elements: more than one thread's share of an addition


class Waiting:
    """A context manager around the work of torch's threads. Does nothing where there is one thread,
    where the environment says how to wait, and where Linux does not count waiting.
    """

    def __init__(self, tasks: Path = TASKS) -> None:
        self._tasks = tasks
        self._end = threading.Event()
        self._watcher: threading.Thread | None = None
        self._crowd: tuple[threading.Thread, threading.Event] | None = None
        self._quiet = 0

    @property
    def spins(self) -> bool:
        """Whether threads spin as long as libgomp lets them."""
        return self._crowd is None

    def __enter__(self) -> "Waiting":
        given = any(name in os.environ for name in GIVEN)
        if not given and torch.get_num_threads() > 1 and self._waited() is not None:
            self._watcher = threading.Thread(target=self._watch, name="waiting", daemon=True)
            self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.set()
        if self._watcher is not None:
            self._watcher.join()
        self._spin()

    def observe(self, share: float) -> None:
        """Take the seconds a second that threads waited for a core in the last period."""
        if share > BUSY_SHARE:
            self._quiet = 0
            self._yield()
        else:
            self._quiet += 1
            if self._quiet >= QUIET_PERIODS:
                self._spin()

    def _watch(self) -> None:
        before, begun = self._waited(), time.monotonic()
        while not self._end.wait(PERIOD_SECONDS):
            now, ended = self._waited(), time.monotonic()
            if before is not None and now is not None:
                self.observe((now - before) / (ended - begun))
            before, begun = now, ended

    def _waited(self) -> float | None:
        """Seconds that the threads there are have waited for a core since they began."""
        try:
            found = [(path / "schedstat").read_text() for path in self._tasks.iterdir()]
            return sum(int(line.split()[1]) for line in found) / 1e9
        except (OSError, ValueError, IndexError):  # a thread has just ended, or no Linux
            return None

    def _yield(self) -> None:
        if self._crowd is not None:
            return
        end = threading.Event()

        def crowd() -> None:
            torch.zeros(PARALLEL).add_(1)
            end.wait()

        thread = threading.Thread(target=crowd, name="crowd", daemon=True)
        thread.start()
        self._crowd = (thread, end)

    def _spin(self) -> None:
        if self._crowd is not None:
            thread, end = self._crowd
            end.set()
            thread.join()
            self._crowd = None
