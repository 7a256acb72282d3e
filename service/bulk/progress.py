"""A progress bar on a terminal: the share of the input that was read, tokens/s, the time left."""

import sys
import time
from typing import Any


class Progress:
    """The timer of a job, and its bar.

    No bar is drawn if standard error is not a terminal, or without tqdm. `total` is None if it is
    not available, as for a stream.
    """

    def __init__(self, total: int | None, unit: str = "B") -> None:
        self._started = time.monotonic()
        self._cpu_started = time.process_time()
        self.tokens = 0
        self._bar: Any = None
        try:
            from tqdm import tqdm
        except ImportError:
            return
        self._bar = tqdm(
            total=total,
            unit=unit,
            unit_scale=unit == "B",
            disable=sys.stderr is None or not sys.stderr.isatty(),
            dynamic_ncols=True,
        )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all threads of this process."""
        return time.process_time() - self._cpu_started

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)

    def advance(self, tokens: int, done: int) -> None:
        """Add `tokens`, and set the bar to `done` of the total."""
        self.tokens += tokens
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self.tokens_per_second:,.0f} tokens/s", refresh=False)
            self._bar.update(done - self._bar.n)

    def print_line(self, line: str) -> None:
        """Print a line on standard error, above the bar."""
        if self._bar is not None and not self._bar.disable:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
