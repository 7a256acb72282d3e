"""What a job is asked to do, and the command line that says so."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from service.bulk import compression
from service.bulk.formats import ROW_FORMATS, Columns, Name
from service.bulk.inputs import files, is_stream, named, printable
from service.bulk.reading import MAX_DOCUMENT_BYTES, Kind, Source
from service.errors import JobError

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
    overwrite: bool = False
    json: bool = False
    bundle: Path | None = None
    threads: int | None = None
    engine: str = "local"
    workers: int | None = None

    @property
    def two_passes(self) -> bool:
        return self.buckets is not None and self.calibration is None


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m service.bulk",
        description="Score corpora: a line, with the aggregates of /score, for each document. "
        "A job that was killed goes on with the same command. `python -m service.bulk calibrate "
        "INPUT… --out FILE.json` makes a calibration instead.",
    )
    made.add_argument(
        "inputs",
        nargs="+",
        type=named,
        metavar="INPUT",
        help="files, folders (docs/texts.md), pipes; - is standard input",
    )
    made.add_argument("--out", type=Path, required=True, metavar="OUTPUT")
    _read(made)
    made.add_argument("--format", choices=get_args(Name), help="default: by OUTPUT's name")
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
    made.add_argument("--out", type=Path, required=True, metavar="FILE.json")
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
    made.add_argument("--errors", type=Path, metavar="FILE", help="what could not be scored, JSON")
    made.add_argument("--strict", action="store_true", help="stop at the first such document")
    made.add_argument("--overwrite", action="store_true", help="begin anew, whatever is there")
    made.add_argument("--json", action="store_true", help="the summary as JSON on standard output")
    made.add_argument("--bundle", type=Path, help="default: TIEDLM_BUNDLE, or the starter bundle")
    made.add_argument("--threads", type=_positive, help="default: usable cores")


def parse(arguments: list[str]) -> Options:
    """Raises JobError for what does not go together."""
    calibrating = arguments[:1] == ["calibrate"]
    given = calibrate_parser().parse_args(arguments[1:]) if calibrating else None
    if given is not None:
        return Options(format=None, columns=Columns(), **_common(given))
    given = parser().parse_args(arguments)
    name = given.format or _format_of(given.out)
    unit = given.unit or ("bits" if name == "surprisal-tsv" else "nats")
    rows_only = {"--tokens": given.tokens, "--text": given.text, "--id": given.id}
    rows_only |= {"--buckets": given.buckets, "--calibration": given.calibration}
    refused = [flag for flag, value in rows_only.items() if value]
    if name not in ROW_FORMATS and refused:
        raise JobError(f"{refused[0]} is for jsonl, tsv and parquet, not for {name}")
    if name == "kenlm-query" and given.unit not in (None, "bans"):
        raise JobError("kenlm-query is in bans, decimal logarithms; leave --unit out")
    if name == "parquet" and compression.is_compressed(given.out):
        raise JobError(f"{given.out}: Parquet is compressed by itself")
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
        **_common(given),
    )


def _common(given: argparse.Namespace) -> dict[str, Any]:
    kind: Kind | None = "file" if given.document == "file" else given.input_format
    return {
        "inputs": _inputs(given.inputs),
        "out": given.out,
        "source": Source(given.field, given.id, kind, given.max_document_bytes, given.keep_empty),
        "errors": given.errors,
        "strict": given.strict,
        "overwrite": given.overwrite,
        "json": given.json,
        "bundle": given.bundle,
        "threads": given.threads,
    }


def _inputs(given: list[Path]) -> tuple[Path, ...]:
    """Warn of what a folder has that is not read, and of inputs that cannot be read twice."""
    found, notes = files(given)
    notes += [
        f"{path} is a stream: a job that is stopped begins again"
        for path in found
        if is_stream(path)
    ]
    for note in notes[:MOST_NOTES]:
        print(f"warning: {printable(note)}", file=sys.stderr)
    if len(notes) > MOST_NOTES:
        print(f"warning: {len(notes) - MOST_NOTES} more like these", file=sys.stderr)
    return tuple(found)


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
