"""Argument parsers of `python -m service.bulk` and `python -m service.bulk calibrate`."""

import argparse
from pathlib import Path
from typing import get_args

from service.bulk.input.files import input_argument
from service.bulk.options import FormatName
from service.limits import MAX_DOCUMENT_BYTES


def scoring_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service.bulk",
        description="Score corpora: a line with the aggregates of /score for each document. "
        "A job that was killed continues with the same command, unless it reads or writes a "
        "stream. `python -m service.bulk calibrate INPUT... --out FILE.json` makes a calibration "
        "instead.",
    )
    _add_inputs(parser)
    parser.add_argument(
        "--out",
        required=True,
        metavar="OUTPUT",
        help="a file; a folder for Parquet; a stream for - or a pipe",
    )
    _add_reading_arguments(parser)
    parser.add_argument(
        "--format",
        choices=get_args(FormatName),
        help="default: by the name of OUTPUT; jsonl for a stream",
    )
    parser.add_argument(
        "--keep-rows",
        action="store_true",
        help="write a row of nulls for each document that is not scored",
    )
    parser.add_argument("--tokens", action="store_true", help="add details of each token to rows")
    parser.add_argument("--text", action="store_true", help="add the text to rows")
    parser.add_argument(
        "--unit", choices=("nats", "bits", "bans"), help="default: nats; bits in surprisal-tsv"
    )
    parser.add_argument(
        "--buckets",
        type=_buckets,
        metavar="30,60",
        help="add head, middle or tail to rows, by two percentiles of --calibration, or of the "
        "input",
    )
    parser.add_argument(
        "--calibration", type=Path, metavar="FILE", help="add the percentile in FILE to rows"
    )
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--workers", type=int, help="maximum number of Ray actors")
    _add_job_arguments(parser)
    return parser


def calibrate_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m service.bulk calibrate",
        description="Write the percentiles of the mean cross-entropy per token of the documents "
        "of a reference corpus, for --calibration here and in the service.",
    )
    _add_inputs(parser)
    parser.add_argument("--out", required=True, metavar="FILE.json")
    _add_reading_arguments(parser)
    _add_job_arguments(parser)
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        nargs="+",
        type=input_argument,
        metavar="INPUT",
        help="files, folders (docs/texts.md), pipes; - is standard input",
    )


def _add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--document",
        choices=("line", "file"),
        default="line",
        help="each line of text is a document, or each file",
    )
    parser.add_argument(
        "--field", "--column", default="text", help="field or column of the text: %(default)s"
    )
    parser.add_argument("--id", help="field or column that is copied to each row, exactly")
    parser.add_argument("--input-format", choices=("text", "jsonl", "parquet"))
    parser.add_argument("--max-document-bytes", type=_positive, default=MAX_DOCUMENT_BYTES)
    parser.add_argument(
        "--keep-empty", action="store_true", help="score empty documents, as their <eos> alone"
    )


def _add_job_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--errors", metavar="FILE", help="write a JSON line for each document that is not scored"
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first such document")
    parser.add_argument(
        "--overwrite", action="store_true", help="begin again, and replace the outputs"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--bundle", type=Path, help="default: TIEDLM_BUNDLE, or the starter bundle")
    parser.add_argument("--threads", type=_positive, help="default: usable cores")


def _buckets(argument: str) -> tuple[float, float]:
    low, high = map(float, argument.split(","))
    if not 0 < low < high < 100:
        raise argparse.ArgumentTypeError("two percentiles, such as 30,60")
    return low, high


def _positive(argument: str) -> int:
    number = int(argument)
    if number <= 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
