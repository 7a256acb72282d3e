"""The content of an input as a text, an id, or the problem that keeps it from being scored."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from service.bulk.document import Problem
from service.bulk.input import json_line
from service.bulk.input.files import printable
from service.bulk.input.json_line import Id
from service.limits import MAX_DOCUMENT_BYTES

Kind = Literal["text", "jsonl", "parquet", "file"]


@dataclass(frozen=True, slots=True)
class Source:
    """Options for reading inputs.

    `field` holds the text in JSON lines and Parquet, `id_field` the id that is copied to each row.
    Documents of more than `max_bytes` are problems, and so are empty ones unless `keep_empty`.
    """

    field: str = "text"
    id_field: str | None = None
    kind: Kind | None = None  # None: the name of each input decides
    max_bytes: int = MAX_DOCUMENT_BYTES
    keep_empty: bool = False


class ParsedText(NamedTuple):
    text: str
    id: Id
    problem: Problem | None


class TextParser:
    """Parser of lines, of cells of Parquet and of whole files."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._field = printable(source.field)

    def json(self, line: bytes) -> ParsedText:
        """Parse a JSON line."""
        source = self._source
        try:
            row = json_line.parse(line)
        except ValueError as error:
            return _problem("invalid_json", str(error))
        if not isinstance(row, dict):
            return _problem("invalid_json", "not a JSON object")
        row_id = None if source.id_field is None else json_line.exact(line, row, source.id_field)
        if source.field not in row:
            return _problem("missing_field", f"there is no field {self._field}", row_id)
        text = row[source.field]
        if text is None:
            return self.null("field", row_id)
        if not isinstance(text, str):
            return _problem("not_text", f"the field {self._field} is not a string", row_id)
        if not json_line.is_text(text):
            message = f"the field {self._field} has a lone surrogate (\\ud800 to \\udfff)"
            return _problem("invalid_json", message, row_id)
        return self._checked(text, row_id)

    def line(self, content: bytes) -> ParsedText:
        """Parse a line of text, or a file of text that is one document."""
        content = content.removesuffix(b"\n").removesuffix(b"\r")
        if b"\0" in content:  # a NUL byte is legal in a field, but does not occur in a text file
            message = "a NUL byte: not text, or UTF-16, which must be made UTF-8 first"
            return _problem("not_text", message)
        return self.cell(content, None)

    def cell(self, content: bytes, row_id: Id) -> ParsedText:
        """Parse the text of a Parquet row."""
        try:
            return self._checked(content.decode(), row_id)
        except UnicodeDecodeError as error:
            message = f"not UTF-8, from byte {error.start + 1} of the document on"
            return _problem("invalid_utf8", message, row_id)

    def null(self, name: str, row_id: Id) -> ParsedText:
        return _problem("null", f"the {name} {self._field} is null", row_id)

    def too_long(self, row_id: Id = None) -> ParsedText:
        return _problem("too_long", f"more than {self._source.max_bytes} bytes", row_id)

    def _checked(self, text: str, row_id: Id) -> ParsedText:
        if not self._source.keep_empty and (not text or text.isspace()):
            return _problem("empty", "the document is empty", row_id)
        return ParsedText(text, row_id, None)


def _problem(kind: str, message: str, row_id: Id = None) -> ParsedText:
    return ParsedText("", row_id, Problem(kind, message))
