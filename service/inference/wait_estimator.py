"""The wait estimate: how many seconds pass while a batch takes a second of processor time.

Batches are timed in processor time, which measures how much work waits. That work takes longer by
the clock, because the event loop, the other workers and other processes use the processor too.
"""

from service.inference.tuning import TUNING, SchedulerTuning


class WaitEstimator:
    """A moving average over windows in which tasks always waited.

    Not thread-safe: the batcher holds the lock.
    """

    def __init__(self, threads: int, tuning: SchedulerTuning = TUNING) -> None:
        """Until the first measurement, each of the `threads` is taken to have a core."""
        self.seconds_per_cpu_second = 1 / threads
        self._tuning = tuning
        self._window_start: float | None = None
        self._cpu_seconds = 0.0

    def observe(self, cpu_seconds: float, now: float, tasks_wait: bool) -> None:
        """Record a batch of `cpu_seconds` that ended at `now`, by the monotonic clock.

        The window restarts if no task waits, because idle workers do not show how fast busy
        workers are.
        """
        if not tasks_wait:
            self._window_start = None
            return
        if self._window_start is None:
            self._window_start, self._cpu_seconds = now, 0.0
            return
        self._cpu_seconds += cpu_seconds
        elapsed = now - self._window_start
        if elapsed < self._tuning.wait_window_seconds:
            return
        measured = min(elapsed / max(self._cpu_seconds, 1e-6), self._tuning.max_slowdown)
        decay, past = self._tuning.wait_ema_decay, self.seconds_per_cpu_second
        self.seconds_per_cpu_second = decay * past + (1 - decay) * measured
        self._window_start, self._cpu_seconds = now, 0.0
