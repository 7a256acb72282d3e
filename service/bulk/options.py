"""Options of a job, as the command line gives them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from service.bulk.input.text_parser import Source
from service.bulk.output.rows import Columns
from service.files.streams import is_stream

FormatName = Literal["jsonl", "tsv", "parquet", "kenlm-query", "surprisal-tsv"]
ROW_FORMATS = ("jsonl", "tsv", "parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """Options of every job. `errors` is a file, `threads` None for the usable cores."""

    inputs: tuple[Path, ...]
    out: Path
    source: Source
    errors: Path | None = None
    strict: bool = False
    overwrite: bool = False
    json: bool = False
    bundle: Path | None = None
    threads: int | None = None

    @property
    def resumable(self) -> bool:
        """True if a killed job can continue. A stream can be read and written only once."""
        return not any(map(is_stream, (self.out, *self.inputs)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateOptions(JobOptions):
    """Options of `calibrate`, which writes the percentiles of its inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringOptions(JobOptions):
    """Options of a job that writes scores.

    `buckets` are two percentiles of the mean cross-entropy. They and the percentile of each row
    come from the file `calibration`, or the buckets from the inputs themselves.
    """

    format: FormatName
    columns: Columns
    buckets: tuple[float, float] | None = None
    calibration: Path | None = None
    keep_rows: bool = False
    engine: Literal["local", "ray"] = "local"
    workers: int | None = None

    @property
    def two_passes(self) -> bool:
        """True if buckets are assigned in a second pass, when all percentiles are computed."""
        return self.buckets is not None and self.calibration is None
