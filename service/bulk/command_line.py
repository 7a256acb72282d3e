"""The options of a job from the arguments of its command line."""

import argparse
import sys
from pathlib import Path
from typing import Any

from service.bulk.argument_parsers import calibrate_parser, scoring_parser
from service.bulk.input.files import printable
from service.bulk.input.selection import select_inputs
from service.bulk.input.text_parser import Kind, Source
from service.bulk.options import (
    ROW_FORMATS,
    CalibrateOptions,
    FormatName,
    JobOptions,
    ScoringOptions,
)
from service.bulk.output.rows import Columns
from service.bulk.resume.job_files import JobFiles
from service.errors import JobError
from service.files import compression
from service.files.outputs import output_path
from service.files.streams import is_stream
from service.settings import Settings

MAX_NOTES = 10
FORMAT_OF_SUFFIX: dict[str, FormatName] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".tsv": "tsv",
    ".parquet": "parquet",
}


def parse(arguments: list[str]) -> JobOptions:
    """Return the options of a job.

    Raises JobError for options that exclude each other and inputs that do not exist, OutputError
    for an output that is an input.
    """
    if arguments[:1] == ["calibrate"]:
        given = calibrate_parser().parse_args(arguments[1:])
        return CalibrateOptions(**_common_options(given))
    given = scoring_parser().parse_args(arguments)
    out = output_path(given.out)
    name: FormatName = given.format or _format_of(out)
    _refuse_combinations(given, out, name)
    columns = Columns(
        unit=given.unit or ("bits" if name == "surprisal-tsv" else "nats"),
        tokens=given.tokens,
        text=given.text,
        id=given.id is not None,
        percentile=given.calibration is not None,
        bucket=given.buckets is not None,
    )
    return ScoringOptions(
        format=name,
        columns=columns,
        buckets=given.buckets,
        calibration=given.calibration,
        engine=given.engine,
        workers=given.workers,
        keep_rows=given.keep_rows,
        **_common_options(given),
    )


def _refuse_combinations(given: argparse.Namespace, out: Path, name: FormatName) -> None:
    """Raise JobError for options that exclude each other."""
    row_flags = {"--tokens": given.tokens, "--text": given.text, "--id": given.id}
    row_flags |= {"--buckets": given.buckets, "--calibration": given.calibration}
    used = [flag for flag, value in row_flags.items() if value]
    if name not in ROW_FORMATS and used:
        raise JobError(f"{used[0]} is for jsonl, tsv and parquet, not for {name}")
    if name == "kenlm-query" and given.unit not in (None, "bans"):
        raise JobError("kenlm-query always uses bans (decimal logarithms); leave --unit out")
    if name == "parquet" and compression.is_compressed(out):
        raise JobError(f"{given.out}: Parquet is compressed by itself; leave the suffix out")
    if name == "parquet" and is_stream(out):
        raise JobError(
            f"{given.out} is a stream, but Parquet output is a folder; use another --format"
        )
    if given.engine == "ray" and is_stream(out):
        raise JobError(
            f"{given.out} is a stream, but --engine ray writes a folder; give a path of a folder"
        )
    if name == "tsv" and given.tokens:
        raise JobError("tsv has no place for --tokens; use jsonl, parquet or surprisal-tsv")


def _common_options(given: argparse.Namespace) -> dict[str, Any]:
    kind: Kind | None = "file" if given.document == "file" else given.input_format
    out, errors = output_path(given.out), given.errors and output_path(given.errors)
    bundle = Settings.unlimited(given.bundle).bundle
    also_read = [bundle, *(bundle.iterdir() if bundle.is_dir() else [])]
    also_read += [given.calibration] if getattr(given, "calibration", None) else []
    inputs, notes = select_inputs(given.inputs, JobFiles(out, errors), also_read)
    _print_notes(notes)
    return {
        "inputs": tuple(inputs),
        "out": out,
        "source": Source(given.field, given.id, kind, given.max_document_bytes, given.keep_empty),
        "errors": errors,
        "strict": given.strict,
        "overwrite": given.overwrite,
        "json": given.json,
        "bundle": given.bundle,
        "threads": given.threads,
    }


def _print_notes(notes: list[str]) -> None:
    for note in notes[:MAX_NOTES]:
        print(f"warning: {printable(note)}", file=sys.stderr)
    if len(notes) > MAX_NOTES:
        print(f"warning: {len(notes) - MAX_NOTES} more like these", file=sys.stderr)


def _format_of(out: Path) -> FormatName:
    suffixes = [suffix.lower() for suffix in out.suffixes]
    suffixes = [suffix for suffix in suffixes if suffix not in compression.SUFFIXES]
    last = suffixes[-1] if suffixes else ""
    if last in FORMAT_OF_SUFFIX:
        return FORMAT_OF_SUFFIX[last]
    if is_stream(out):
        return "jsonl"
    raise JobError(f"{out}: end it in .jsonl, .tsv or .parquet, or give --format")
