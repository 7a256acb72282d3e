"""Control of how OpenMP's threads wait for work: by spinning, or asleep if cores are scarce.

A thread of libgomp spins 300,000 times before it sleeps. That is right on idle cores: a training
step is hundreds of short parallel regions, and with OMP_WAIT_POLICY=PASSIVE training took 1.5 times
as long (2 × 400, two cores). On a busy machine a thread spins through its time slice while the
thread that it waits for needs the core. There training was 10 to 50 times slower than with PASSIVE.

The environment decides once, when the library is loaded. But libgomp reduces the spins to 100 while
it manages more threads than there are cores (its manual, GOMP_SPINCOUNT). When this process's
threads have to wait for a core, we therefore start an idle thread that runs one parallel region:
libgomp then owns a second set of threads. The idle thread ends when the cores are free again. No
result changes, because the number of threads that share a region stays the same.
"""

import os
import threading
import time
from pathlib import Path
from types import TracebackType

import torch

TASKS = Path("/proc/self/task")
USER_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # these take precedence
PERIOD_SECONDS = 0.5
# The seconds per second that all threads together wait for a core. An idle machine showed 0.01; one
# endless loop on two cores showed 0.5 and more.
BUSY_SHARE = 0.1
QUIET_PERIODS = 20  # below BUSY_SHARE, before threads spin again
PARALLEL_SIZE = 1 << 20  # elements: an addition of this size uses more than one thread


class SpinControl:
    """A context manager around the work of torch's threads.

    Does nothing with one thread, if the environment has one of USER_SETTINGS, and where Linux does
    not count the time that threads wait.
    """

    def __init__(self, tasks: Path = TASKS) -> None:
        self._tasks = tasks
        self._end = threading.Event()
        self._monitor: threading.Thread | None = None
        self._idle: tuple[threading.Thread, threading.Event] | None = None
        self._quiet_periods = 0

    @property
    def spins(self) -> bool:
        """True if threads spin for libgomp's full count."""
        return self._idle is None

    def __enter__(self) -> "SpinControl":
        is_set = any(name in os.environ for name in USER_SETTINGS)
        if not is_set and torch.get_num_threads() > 1 and self._waited_seconds() is not None:
            self._monitor = threading.Thread(
                target=self._monitor_loop, name="spin-control", daemon=True
            )
            self._monitor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.set()
        if self._monitor is not None:
            self._monitor.join()
        self._allow_spinning()

    def observe(self, share: float) -> None:
        """Take the last period's `share`: seconds per second that threads waited for a core."""
        if share > BUSY_SHARE:
            self._quiet_periods = 0
            self._stop_spinning()
        else:
            self._quiet_periods += 1
            if self._quiet_periods >= QUIET_PERIODS:
                self._allow_spinning()

    def _monitor_loop(self) -> None:
        before, began = self._waited_seconds(), time.monotonic()
        while not self._end.wait(PERIOD_SECONDS):
            now, ended = self._waited_seconds(), time.monotonic()
            if before is not None and now is not None:
                self.observe((now - before) / (ended - began))
            before, began = now, ended

    def _waited_seconds(self) -> float | None:
        """Return the seconds that all current threads have waited for a core since their start."""
        try:
            lines = [(path / "schedstat").read_text() for path in self._tasks.iterdir()]
            return sum(int(line.split()[1]) for line in lines) / 1e9
        except (OSError, ValueError, IndexError):  # a thread has just ended, or this is not Linux
            return None

    def _stop_spinning(self) -> None:
        if self._idle is not None:
            return
        end = threading.Event()

        def own_threads() -> None:
            torch.zeros(PARALLEL_SIZE).add_(1)
            end.wait()

        thread = threading.Thread(target=own_threads, name="idle-openmp", daemon=True)
        thread.start()
        self._idle = (thread, end)

    def _allow_spinning(self) -> None:
        if self._idle is not None:
            thread, end = self._idle
            end.set()
            thread.join()
            self._idle = None
