"""The output of a job of the local engine: scores, with a second pass for buckets, or percentiles.

Both have the same methods. A job renders and writes blocks, writes the last payload, and, if the
next stage is `bucket`, writes the rows again with their buckets.
"""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from service.bulk.buckets import Buckets, read_scored_rows
from service.bulk.options import CalibrateOptions, JobOptions, ScoringOptions
from service.bulk.output import formats, kenlm
from service.bulk.output.writers import NullWriter, Writer
from service.bulk.resume.job_files import PARTIAL, JobFiles, with_suffix
from service.bulk.resume.state import JobState, Stage
from service.bulk.statistics import Statistics
from service.errors import StartError
from service.files.atomic import write_atomically
from service.files.streams import is_stream
from service.language_model import LanguageModel
from service.results.calibration import Calibration


class ScoresOutput:
    """Scores in one of the formats.

    With buckets by percentiles of the input, the first pass keeps rows in a file next to the
    output, or in a temporary folder if the output is a stream.
    """

    def __init__(self, model: LanguageModel, options: ScoringOptions, files: JobFiles) -> None:
        """Raises StartError for the calibration of another model, JobError without a package."""
        self._model = model
        self._options = options
        self._scored = files.scored
        self._folder: TemporaryDirectory[str] | None = None
        self.unit = options.columns.unit
        self.next_stage: Stage = "bucket" if options.two_passes else "publish"
        self.render = formats.make_renderer(model, options)
        formats.require_packages(options)

    def open(self, state: JobState) -> Writer:
        """Open the output of the first pass."""
        if not self._options.two_passes:
            return self._open_output(state)
        if is_stream(self._options.out):
            self._folder = TemporaryDirectory(prefix="tiedlm-")
            self._scored = Path(self._folder.name) / "scored"
        return formats.open_scored_rows(self._scored, state.output)

    def write_last(self, writer: Writer, statistics: Statistics) -> None:
        """Write the payload that follows the last block, if the format has one."""
        if self._options.format == "kenlm-query":
            writer.write(kenlm.summary_lines(statistics.totals))

    def write_buckets(self, state: JobState, save: Callable[[], None]) -> None:
        """Write the rows of the first pass with their buckets; `save` is called at each commit."""
        assert self._options.buckets is not None
        table = (
            make_calibration(self._model, state.statistics) if state.statistics.documents else None
        )
        buckets = Buckets(table, self._options.buckets, self.unit)
        with closing(self._open_output(state)) as writer:
            path = with_suffix(self._scored, PARTIAL)
            for rows, position in read_scored_rows(path, state.position):
                writer.write([buckets.add_to(row) for row in rows])
                committed = writer.commit(False)
                if committed is not None:
                    state.output, state.position = committed, position
                    save()
            writer.commit(True)

    def close(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _open_output(self, state: JobState) -> Writer:
        return formats.open_output(self._options, self._model.info.subword, state.output)


class CalibrationOutput:
    """Percentiles of the documents, which are written after the last block."""

    unit = "nats"
    next_stage: Stage = "publish"

    def __init__(self, model: LanguageModel, options: CalibrateOptions, files: JobFiles) -> None:
        self._model = model
        self._out = options.out
        self._files = files

    def render(self, scored: Any) -> None:
        return None

    def open(self, state: JobState) -> Writer:
        return NullWriter()

    def write_last(self, writer: Writer, statistics: Statistics) -> None:
        """Write the calibration. Raises StartError without a scored document."""
        try:
            content = make_calibration(self._model, statistics).dumps().encode()
        except StartError:  # there is nothing to resume
            self._files.tidy()
            raise
        write_atomically(
            self._out if is_stream(self._out) else with_suffix(self._out, PARTIAL), content
        )

    def write_buckets(self, state: JobState, save: Callable[[], None]) -> None:
        raise AssertionError("a calibration has no buckets")

    def close(self) -> None:
        pass


JobOutput = ScoresOutput | CalibrationOutput


def make_output(model: LanguageModel, options: JobOptions, files: JobFiles) -> JobOutput:
    """Return the output of a job. No file is changed. Raises StartError and JobError."""
    if isinstance(options, ScoringOptions):
        return ScoresOutput(model, options, files)
    assert isinstance(options, CalibrateOptions)
    return CalibrationOutput(model, options, files)


def make_calibration(model: LanguageModel, statistics: Statistics) -> Calibration:
    """Return the percentiles of all documents. Raises StartError if none was scored."""
    return statistics.histogram.calibration(model.info.name, model.info.bundle_hash)
