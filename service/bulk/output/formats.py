"""Formats of scores: the payload of a block of scored documents, and the writer for it.

A payload is a list of rows, or bytes. It is made in a thread, without access to files.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from service.bulk.buckets import Buckets
from service.bulk.input import parquet
from service.bulk.options import ROW_FORMATS, ScoringOptions
from service.bulk.output import kenlm, rows, tsv
from service.bulk.output.parquet_writer import ParquetWriter
from service.bulk.output.rows import Row, ScoredDocuments
from service.bulk.output.writers import FileWriter, RowWriter, StreamWriter, Writer, open_bytes
from service.bulk.resume.job_files import PARTIAL, with_suffix
from service.files import compression
from service.language_model import LanguageModel
from service.results.calibration import Calibration

Renderer = Callable[[ScoredDocuments], Any]


def require_packages(options: ScoringOptions) -> None:
    """Raise JobError if the format of the output needs a package that is not installed."""
    compression.require_package(options.out)
    if options.format == "parquet":
        parquet.pyarrow(options.out)


def make_renderer(model: LanguageModel, options: ScoringOptions) -> Renderer:
    """Return the function that makes the payload of a block.

    A document without a score is left out, unless rows of nulls are kept. Raises StartError for a
    calibration that was made with another model.
    """
    render = _make_renderer(model, options)
    if options.keep_rows:
        return render
    return lambda scored: render([pair for pair in scored if pair[1] is not None])


def _make_renderer(model: LanguageModel, options: ScoringOptions) -> Renderer:
    columns = options.columns
    if options.format == "kenlm-query":
        return partial(kenlm.query_lines, model)
    if options.format == "surprisal-tsv":
        return partial(tsv.surprisals, model, columns.unit)
    if options.calibration is None:
        return partial(rows.make_rows, model, columns, None)
    info, file = model.info, options.calibration
    table = Calibration.load(file, info.name, info.bundle_hash)
    if options.buckets is None:
        return partial(rows.make_rows, model, columns, table)
    buckets = Buckets(table, options.buckets, columns.unit)

    def render(scored: ScoredDocuments) -> list[Row]:
        return [buckets.add_to(row) for row in rows.make_rows(model, columns, table, scored)]

    return render


def open_output(options: ScoringOptions, subword: bool, at: int) -> Writer:
    """Open the output after the length `at` that was committed."""
    path = options.out
    if options.format == "parquet":
        folder = with_suffix(path, PARTIAL)
        return ParquetWriter.open(folder, at, options.columns, subword)
    return encoding_writer(open_bytes(path, at), options, is_new=at == 0)


def open_scored_rows(path: Path, at: int) -> Writer:
    """Open the file of rows that wait for their buckets, as JSON lines."""
    return RowWriter(open_bytes(path, at), rows.encode_json_lines)


def encoding_writer(
    writer: FileWriter | StreamWriter, options: ScoringOptions, *, is_new: bool
) -> Writer:
    """Return a writer that encodes payloads. A new output gets its header."""
    if options.format == "jsonl":
        return RowWriter(writer, rows.encode_json_lines)
    if options.format == "tsv":
        if is_new:
            writer.write(tsv.header(options.columns.names))
        return RowWriter(writer, tsv.row_encoder(options.columns.names))
    if options.format == "surprisal-tsv" and is_new:
        writer.write(tsv.SURPRISAL_HEADER)
    assert options.format not in ROW_FORMATS
    return writer
