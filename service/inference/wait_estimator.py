"""How fast waiting work really gets done: an estimate of waiting from what was measured lately.

Runs are timed in seconds of processor time, which say how much work waits, but not how soon it is
done: the event loop, the other workers and other processes take the processor too.
"""

WINDOW_SECONDS = 0.2
MEMORY = 0.7  # the weight of the past in the moving average
LARGEST = 100.0  # a machine that stood still for a moment is not that slow


class WaitEstimator:
    """`clock_seconds_per_run_second` over stretches in which work always waited. Not thread-safe:
    the batcher holds the lock.
    """

    def __init__(self, threads: int) -> None:
        self.clock_seconds_per_run_second = 1 / threads
        self._since: float | None = None
        self._run_seconds = 0.0

    def ran(self, run_seconds: float, now: float, work_waits: bool) -> None:
        """A run of so many seconds of processor time ended `now`; seconds of a monotonic clock."""
        if not work_waits:  # idle workers say nothing of how fast busy ones are
            self._since = None
            return
        if self._since is None:
            self._since, self._run_seconds = now, 0.0
            return
        self._run_seconds += run_seconds
        elapsed = now - self._since
        if elapsed < WINDOW_SECONDS:
            return
        measured = min(elapsed / max(self._run_seconds, 1e-6), LARGEST)
        past = self.clock_seconds_per_run_second
        self.clock_seconds_per_run_second = MEMORY * past + (1 - MEMORY) * measured
        self._since, self._run_seconds = now, 0.0
