"""Rows of aggregates: the values of a document that `/score` returns, with its place and id.

A row is a dictionary and not a dataclass, because orjson and pyarrow take dictionaries, and the
order of its members is the order in JSON lines.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from service.bulk.document import Document
from service.bulk.input import json_line
from service.bulk.input.json_line import dumps
from service.language_model import LanguageModel
from service.results.calibration import Calibration
from service.results.text_score import TextScore
from service.results.token_rows import RowOptions
from service.scoring import Totals

Row = dict[str, Any]
# A document that is not scored has no score. Its row, if it is kept, consists of nulls.
ScoredDocuments = list[tuple[Document, TextScore | None]]
FIGURES = tuple(Totals().figures("nats"))
COUNTS = ("line", "token_count", "oov_count", "word_count")
TEXTS = ("input", "id", "text", "bucket")
NO_LIMIT = 1 << 62


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a row in addition to the aggregates of `/score`, which are in `unit`."""

    unit: str = "nats"
    tokens: bool = False
    text: bool = False
    id: bool = False
    percentile: bool = False
    bucket: bool = False

    @property
    def names(self) -> list[str]:
        names = ["input", "line", *(["id"] if self.id else []), *(["text"] if self.text else [])]
        names += FIGURES
        names += ["percentile"] if self.percentile else []
        return [*names, *(["bucket"] if self.bucket else [])]


def make_rows(
    model: LanguageModel,
    columns: Columns,
    calibration: Calibration | None,
    scored: ScoredDocuments,
) -> list[Row]:
    """Return a row for each document, in the order of `Columns.names`; `tokens`, `words` last."""
    return [
        _null_row(model, columns, document)
        if score is None
        else _row(model, columns, calibration, document, score)
        for document, score in scored
    ]


def _start(columns: Columns, document: Document) -> Row:
    row: Row = {"input": document.source, "line": document.line}
    if columns.id:
        row["id"] = document.id
    return row


def _null_row(model: LanguageModel, columns: Columns, document: Document) -> Row:
    row = _start(columns, document)
    names = [*columns.names, *(["tokens"] if columns.tokens else [])]
    names += ["words"] if columns.tokens and model.info.subword else []
    return row | dict.fromkeys(name for name in names if name not in row)


def _row(
    model: LanguageModel,
    columns: Columns,
    calibration: Calibration | None,
    document: Document,
    score: TextScore,
) -> Row:
    row = _start(columns, document)
    if columns.text:
        row["text"] = document.text
    row |= score.totals.figures(columns.unit)
    if columns.percentile and calibration is not None:
        row["percentile"] = calibration.percentile(score.totals.mean_nats)
    if columns.tokens:
        options = RowOptions(tokens=True, unit=columns.unit)
        chunks = model.rows.tokens(score, options, NO_LIMIT)
        row["tokens"] = [token for chunk in chunks for token in chunk]
        if model.info.subword:
            chunks = model.rows.words(score, columns.unit, NO_LIMIT)
            row["words"] = [word for chunk in chunks for word in chunk]
    return row


def encode_json_lines(rows: Iterable[Row]) -> bytes:
    return b"".join(dumps(row) + b"\n" for row in rows)


def decode_json_line(line: bytes) -> Row:
    """Return a row of `encode_json_lines`, with its id unchanged."""
    row: Row = json_line.parse(line)
    if "id" in row:
        row["id"] = json_line.exact(line, row, "id")
    return row


def encode_problem(document: Document) -> bytes:
    """Return the line of `--errors` for a document that cannot be scored."""
    assert document.problem is not None
    line: dict[str, Any] = {
        "input": document.source,
        "line": document.line,
        "kind": document.problem.kind,
        "message": document.problem.message,
    }
    if document.id is not None:
        line["id"] = document.id
    return dumps(line) + b"\n"
