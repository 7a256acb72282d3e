"""The figures of `metrics.jsonl` as TensorBoard scalars, for those who follow runs there.

Every start of a run writes a new event file with the whole run in it, the lines kept from earlier
starts first. That file opens with TensorBoard's mark of a restart at step 0, which hides what
earlier files of the folder say, so that a resumed run is shown as one line without doubles.
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
    """A context manager. Raises TrainError without the package tensorboard, OSError."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise TrainError(
                "--tensorboard needs the package tensorboard: pip install tensorboard"
            ) from None
        folder.mkdir(parents=True, exist_ok=True)
        # Opened when there is something to say: its first bytes hide what the folder showed.
        self._open: Callable[[], Any] = partial(SummaryWriter, str(folder), purge_step=0)
        self._writer: Any = None
        self._begun = 0.0
        self._before: Line | None = None

    def write(self, lines: list[Line]) -> None:
        """Scalars by step; their wall time is the start of the run, had it never paused, plus the
        time trained.
        """
        if self._writer is None:
            self._writer = self._open()
            self._begun = time.time() - (lines[-1]["seconds"] if lines else 0)
        for line in lines:
            for tag, value in self._scalars(line).items():
                self._writer.add_scalar(tag, value, line["step"], self._begun + line["seconds"])
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
