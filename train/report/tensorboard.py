"""The figures of `metrics.jsonl` as TensorBoard scalars.

Every start of a run writes a new event file that contains the whole run, including the lines of
earlier starts. The file begins with TensorBoard's mark of a restart at step 0, which hides the
earlier files of the folder. A resumed run is therefore shown as one line without duplicates.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from train.errors import TrainError
from train.report.metrics import Line, interval

SCALARS = ("cross_entropy", "perplexity", "learning_rate")


class TensorBoardLog:
    """A context manager that writes metrics lines to a folder for TensorBoard."""

    def __init__(self, folder: Path) -> None:
        """Raises TrainError if the package tensorboard is not installed; OSError."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise TrainError(
                "--tensorboard needs the package tensorboard: pip install tensorboard"
            ) from None
        folder.mkdir(parents=True, exist_ok=True)
        # Opened with the first lines, because its first bytes hide the earlier files.
        self._open: Callable[[], Any] = partial(SummaryWriter, str(folder), purge_step=0)
        self._writer: Any = None
        self._began = 0.0
        self._before: Line | None = None

    def write(self, lines: list[Line]) -> None:
        """Write the scalars of lines by step.

        Their wall time is the start of the run plus the time trained, as if it had never paused.
        """
        if self._writer is None:
            self._writer = self._open()
            self._began = time.time() - (lines[-1]["seconds"] if lines else 0)
        for line in lines:
            for tag, value in self._scalars(line).items():
                self._writer.add_scalar(tag, value, line["step"], self._began + line["seconds"])
        self._writer.flush()

    def _scalars(self, line: Line) -> dict[str, float]:
        scalars = {f"{line['kind']}/{key}": line[key] for key in SCALARS if key in line}
        if line["kind"] == "train":
            since = interval(self._before, line)
            if since.tokens_per_second is not None:
                scalars["train/tokens_per_second"] = since.tokens_per_second
            for part, milliseconds in since.milliseconds.items():
                scalars[f"step/{part}_milliseconds"] = milliseconds
            self._before = line
        return scalars

    def __enter__(self) -> "TensorBoardLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()
