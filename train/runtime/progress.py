"""Progress of long work: a bar on a terminal, one line a minute in a log file."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60.0


def print_line(text: str) -> None:
    """Print a line on standard output at once, above any bar.

    Characters that the output's encoding lacks are escaped.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    tqdm.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


class LogClock:
    """The time of the last log line. Progresses that share one write a line a minute together."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.last: float | None = None

    def is_due(self) -> bool:
        since = self.began if self.last is None else self.last
        return time.monotonic() - since >= SECONDS_BETWEEN_LINES


class Progress:
    """A context manager around `total` units of work, of which `initial` are done already.

    On a terminal this is a bar of tqdm. Elsewhere it is one line a minute with the share that is
    done, the rate and the time left. With a shared `clock` there is a line at the end, too, if
    none was written yet. `after` units of work follow this progress, and the time left of the whole
    run counts them. `quiet` shows nothing.
    """

    def __init__(
        self,
        doing: str,
        total: int,
        unit: str,
        *,
        initial: int = 0,
        after: int = 0,
        clock: LogClock | None = None,
        leave: bool = True,
        quiet: bool = False,
    ) -> None:
        self._doing, self._total, self._unit = doing, total, unit
        self._done = self._initial = initial
        self._after = after
        self._began = time.monotonic()
        self._writes_last_line = clock is not None
        self._clock = clock or LogClock()
        self._quiet = quiet
        self._note = ""
        self._bar: tqdm | None = None
        if not quiet and sys.stderr.isatty():
            self._bar = tqdm(
                desc=doing,
                total=total,
                initial=initial,
                unit=unit if unit == "B" else f" {unit}",
                unit_scale=True,
                leave=leave,
            )

    def update(self, count: int) -> None:
        """Count `count` more units as done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif not self._quiet and self._clock.is_due():
            self._write()

    def note(self, text: str) -> None:
        """Show `text` after the figures from now on."""
        self._note = text
        if self._bar is not None:
            self._bar.set_postfix_str(text)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._writes_last_line and self._clock.last is None and not self._quiet and not kind:
            self._write()

    def _write(self) -> None:
        self._clock.last = time.monotonic()
        seconds = self._clock.last - self._began
        done = self._done - self._initial
        rate = done / seconds if seconds > 0 else 0.0
        share = self._done / self._total if self._total else 1.0
        parts = [f"{share:.0%} of {self._size(self._total)}", f"{self._size(rate)}/s"]
        left = self._total - self._done
        if rate and left > 0:
            parts.append(f"{tqdm.format_interval(left / rate)} left")
        if rate and self._after:
            run_left = tqdm.format_interval((left + self._after) / rate)
            parts.append(f"{run_left} left of the whole run at most")
        print(f"{self._doing}: {', '.join(filter(None, [*parts, self._note]))}", file=sys.stderr)
        sys.stderr.flush()

    def _size(self, count: float) -> str:
        if self._unit == "B":
            return f"{tqdm.format_sizeof(count)}B"
        return f"{count:,.0f} {self._unit}"
