"""The options of a job, and the command line that they come from."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from service.bulk.input.files import files, named, printable
from service.bulk.input.readers import MAX_DOCUMENT_BYTES, Kind, Source
from service.bulk.job_files import PART, JobFiles, earlier_jobs
from service.bulk.output.formats import ROW_FORMATS, Columns, Name
from service.errors import JobError
from service.files import compression
from service.files.outputs import is_stream, output_path, refuse_inputs
from service.settings import read_settings

MOST_NOTES = 10
BUCKETS = ("head", "middle", "tail")


@dataclass(frozen=True, slots=True)
class Options:
    """`buckets` are two percentiles; `calibration` a file that they, and each row's percentile,
    come from.
    """

    inputs: tuple[Path, ...]
    out: Path
    format: Name | None  # None: calibrate
    source: Source
    columns: Columns
    buckets: tuple[float, float] | None = None
    calibration: Path | None = None
    errors: Path | None = None
    strict: bool = False
    keep_rows: bool = False
    overwrite: bool = False
    json: bool = False
    bundle: Path | None = None
    threads: int | None = None
    engine: str = "local"
    workers: int | None = None

    @property
    def two_passes(self) -> bool:
        return self.buckets is not None and self.calibration is None

    @property
    def resumable(self) -> bool:
        """Whether a job that was killed can go on; a stream is read and written only once."""
        return not any(map(is_stream, (self.out, *self.inputs)))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m service.bulk",
        description="Score corpora: a line, with the aggregates of /score, for each document. "
        "A job that was killed goes on with the same command, unless it reads or writes a stream. "
        "`python -m service.bulk calibrate INPUT... --out FILE.json` makes a calibration instead.",
    )
    made.add_argument(
        "inputs",
        nargs="+",
        type=named,
        metavar="INPUT",
        help="files, folders (docs/texts.md), pipes; - is standard input",
    )
    made.add_argument(
        "--out",
        required=True,
        metavar="OUTPUT",
        help="a file; a folder for Parquet; - or a pipe, which is a stream",
    )
    _read(made)
    made.add_argument(
        "--format",
        choices=get_args(Name),
        help="default: by OUTPUT's name; jsonl in a stream without one",
    )
    made.add_argument(
        "--keep-rows",
        action="store_true",
        help="write a row of nulls for each document that is not scored, in its place",
    )
    made.add_argument("--tokens", action="store_true", help="per-token detail in each row")
    made.add_argument("--text", action="store_true", help="the text itself in each row")
    made.add_argument(
        "--unit", choices=("nats", "bits", "bans"), help="default: nats; bits in surprisal-tsv"
    )
    made.add_argument(
        "--buckets",
        type=_buckets,
        metavar="30,60",
        help="head, middle and tail by two percentiles, of --calibration or else of the input",
    )
    made.add_argument("--calibration", type=Path, metavar="FILE", help="adds percentile to rows")
    made.add_argument("--engine", choices=("local", "ray"), default="local")
    made.add_argument("--workers", type=int, help="at most so many Ray actors")
    _run(made)
    return made


def calibrate_parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m service.bulk calibrate",
        description="Percentiles of the mean cross-entropy per token of a reference corpus's "
        "documents, for --calibration here and in the service.",
    )
    made.add_argument(
        "inputs",
        nargs="+",
        type=named,
        metavar="INPUT",
        help="files, folders (docs/texts.md), pipes; - is standard input",
    )
    made.add_argument("--out", required=True, metavar="FILE.json")
    _read(made)
    _run(made)
    return made


def _read(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--document", choices=("line", "file"), default="line", help="what a document is in text"
    )
    made.add_argument("--field", "--column", default="text", help="where the text is: %(default)s")
    made.add_argument("--id", help="a field or column that is copied to each row, exactly")
    made.add_argument("--input-format", choices=("text", "jsonl", "parquet"))
    made.add_argument("--max-document-bytes", type=_positive, default=MAX_DOCUMENT_BYTES)
    made.add_argument(
        "--keep-empty", action="store_true", help="score empty documents, as their <eos> alone"
    )


def _run(made: argparse.ArgumentParser) -> None:
    made.add_argument("--errors", metavar="FILE", help="what could not be scored, JSON")
    made.add_argument("--strict", action="store_true", help="stop at the first such document")
    made.add_argument("--overwrite", action="store_true", help="begin again, and replace outputs")
    made.add_argument("--json", action="store_true", help="the summary as JSON on standard output")
    made.add_argument("--bundle", type=Path, help="default: TIEDLM_BUNDLE, or the starter bundle")
    made.add_argument("--threads", type=_positive, help="default: usable cores")


def parse(arguments: list[str]) -> Options:
    """Raises JobError for options that exclude each other, OutputError for an output that is an
    input.
    """
    calibrating = arguments[:1] == ["calibrate"]
    given = calibrate_parser().parse_args(arguments[1:]) if calibrating else None
    if given is not None:
        return Options(format=None, columns=Columns(), **_common(given))
    given = parser().parse_args(arguments)
    out = output_path(given.out)
    name: Name = given.format or _format_of(out)
    unit = given.unit or ("bits" if name == "surprisal-tsv" else "nats")
    rows_only = {"--tokens": given.tokens, "--text": given.text, "--id": given.id}
    rows_only |= {"--buckets": given.buckets, "--calibration": given.calibration}
    refused = [flag for flag, value in rows_only.items() if value]
    if name not in ROW_FORMATS and refused:
        raise JobError(f"{refused[0]} is for jsonl, tsv and parquet, not for {name}")
    if name == "kenlm-query" and given.unit not in (None, "bans"):
        raise JobError("kenlm-query is in bans, decimal logarithms; leave --unit out")
    if name == "parquet" and compression.is_compressed(out):
        raise JobError(f"{given.out}: Parquet is compressed by itself")
    if name == "parquet" and is_stream(out):
        raise JobError(f"{given.out} is a stream, and Parquet a folder; use another --format")
    if given.engine == "ray" and is_stream(out):
        raise JobError(f"{given.out} is a stream; --engine ray writes a folder")
    if name == "tsv" and given.tokens:
        raise JobError("tsv has no place for --tokens; use jsonl, parquet or surprisal-tsv")
    columns = Columns(
        unit=unit,
        tokens=given.tokens,
        text=given.text,
        id=given.id is not None,
        percentile=given.calibration is not None,
        bucket=given.buckets is not None,
    )
    return Options(
        format=name,
        columns=columns,
        buckets=given.buckets,
        calibration=given.calibration,
        engine=given.engine,
        workers=given.workers,
        keep_rows=given.keep_rows,
        **_common(given),
    )


def _common(given: argparse.Namespace) -> dict[str, Any]:
    kind: Kind | None = "file" if given.document == "file" else given.input_format
    out, errors = output_path(given.out), given.errors and output_path(given.errors)
    return {
        "inputs": tuple(_inputs(given, JobFiles(out, errors))),
        "out": out,
        "source": Source(given.field, given.id, kind, given.max_document_bytes, given.keep_empty),
        "errors": errors,
        "strict": given.strict,
        "overwrite": given.overwrite,
        "json": given.json,
        "bundle": given.bundle,
        "threads": given.threads,
    }


def _inputs(given: argparse.Namespace, own: JobFiles) -> list[Path]:
    """Return the input files, without those of folders that the job itself wrote there. Raises
    OutputError for an output that is an input, or holds one.
    """
    bundle = read_settings([] if given.bundle is None else ["--bundle", str(given.bundle)]).bundle
    read = [*given.inputs, bundle, *(bundle.iterdir() if bundle.is_dir() else [])]
    read += [given.calibration] if getattr(given, "calibration", None) else []
    refuse_inputs(own.written(), read)
    everything, notes = files(given.inputs)
    named_alone = set(given.inputs)
    earlier = earlier_jobs(path for path in everything if path not in named_alone)
    found: list[Path] = []
    for path in everything:
        if path in named_alone:
            found.append(path)
        elif not own.holds(path):
            part_of_a_named_output = path.parent in named_alone and PART.fullmatch(path.name)
            if part_of_a_named_output or (reason := earlier(path)) is None:
                found.append(path)
            else:
                notes.append(f"{path} is left out: {reason}")
    if not found:
        raise JobError(
            "the folder has nothing in it but what jobs wrote; name its files to read them, or "
            "give another INPUT"
        )
    refuse_inputs(own.written(), found)
    _warn(found, notes)
    return found


def _warn(found: list[Path], notes: list[str]) -> None:
    """Print what a folder has that is not read, and which inputs cannot be read twice."""
    notes += [
        f"{path} is a stream: a job that is stopped begins again"
        for path in found
        if is_stream(path)
    ]
    for note in notes[:MOST_NOTES]:
        print(f"warning: {printable(note)}", file=sys.stderr)
    if len(notes) > MOST_NOTES:
        print(f"warning: {len(notes) - MOST_NOTES} more like these", file=sys.stderr)


def _format_of(out: Path) -> Name:
    suffixes = [suffix.lower() for suffix in out.suffixes]
    suffixes = [suffix for suffix in suffixes if suffix not in compression.SUFFIXES]
    known: dict[str, Name] = {
        ".jsonl": "jsonl",
        ".ndjson": "jsonl",
        ".tsv": "tsv",
        ".parquet": "parquet",
    }
    last = suffixes[-1] if suffixes else ""
    if last not in known and is_stream(out):
        return "jsonl"
    if last not in known:
        raise JobError(f"{out}: end it in .jsonl, .tsv or .parquet, or give --format")
    return known[last]


def _buckets(value: str) -> tuple[float, float]:
    low, high = map(float, value.split(","))
    if not 0 < low < high < 100:
        raise argparse.ArgumentTypeError("two percentiles, such as 30,60")
    return low, high


def _positive(value: str) -> int:
    number = int(value)
    if number <= 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
