"""A bar on a terminal: how much of the input is read, tokens a second, the time left."""

import sys
import time
from typing import Any


class Progress:
    """Draws nothing where standard error is not a terminal, or without tqdm. `total` is None where
    it is not known, as of a stream.
    """

    def __init__(self, total: int | None, unit: str = "B") -> None:
        self._begun = time.monotonic()
        self._cpu_begun = time.process_time()
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
        return time.monotonic() - self._begun

    @property
    def cpu_seconds(self) -> float:
        """Of this process, in all its threads."""
        return time.process_time() - self._cpu_begun

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)

    def advance(self, tokens: int, done: int) -> None:
        self.tokens += tokens
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self.tokens_per_second:,.0f} tokens/s", refresh=False)
            self._bar.update(done - self._bar.n)

    def say(self, line: str) -> None:
        """A line that leaves the bar whole."""
        if self._bar is not None and not self._bar.disable:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
