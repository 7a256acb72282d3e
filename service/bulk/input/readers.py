"""Inputs → records: lines of text, JSON lines, rows of Parquet, whole files. One document at a time
is in memory.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from service.bulk.document import Document, Position, Problem
from service.bulk.input import json_line, parquet
from service.bulk.input.files import open_input, printable, size
from service.bulk.input.ids import Id
from service.errors import JobError
from service.files import compression

Kind = Literal["text", "jsonl", "parquet", "file"]
MAX_DOCUMENT_BYTES = 4 << 20
SKIP_BYTES = 1 << 16
PIECE_BYTES = 1 << 20
MOST_BYTES = 1 << 62  # a limit beyond it is none; C counts no further
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Source:
    """How inputs are read. `field` holds the text in JSON lines and Parquet, `id_field` what is
    handed on with it. Documents of more than `max_bytes` are problems, and so are empty ones unless
    `keep_empty` is set.
    """

    field: str = "text"
    id_field: str | None = None
    kind: Kind | None = None  # by the name of each input
    max_bytes: int = MAX_DOCUMENT_BYTES
    keep_empty: bool = False


class Reader:
    """Records of several inputs, in order. `bytes_read` counts bytes of the files on the disk."""

    def __init__(self, paths: list[Path], source: Source) -> None:
        self._paths = paths
        self._source = source
        self._field = printable(source.field)
        self._max_bytes = min(source.max_bytes, MOST_BYTES)
        self.bytes_read = 0

    def records(
        self, begin: Position, end: int | None = None, *, one_input: bool = False
    ) -> Iterator[Document]:
        """Yield records from `begin` to the end of the inputs, or with `one_input` to the end of
        that input or its offset `end`, which must be that of a line or row. Raises JobError for an
        input that cannot be read.
        """
        done = sum(map(_bytes_of, self._paths[: begin.source]))
        last = begin.source + 1 if one_input else len(self._paths)
        position = begin
        for index in range(begin.source, last):
            path = self._paths[index]
            for record in self._input(path, position, end):
                position = record.end
                yield record
                self.bytes_read = done + self._within
            done += _bytes_of(path) or self._within
            self.bytes_read = done
            position = Position(index + 1, 0, 0, position.records)

    def _input(self, path: Path, begin: Position, end: int | None) -> Iterator[Document]:
        kind = self._source.kind or kind_of(path)
        read = {"parquet": self._rows, "file": self._whole}.get(kind, self._lines)
        self._within = 0
        try:
            yield from read(path, begin, end)
        except OSError as error:
            raise JobError(f"{path}: {error.strerror or error}") from None

    def _lines(self, path: Path, begin: Position, end: int | None) -> Iterator[Document]:
        as_json = (self._source.kind or kind_of(path)) == "jsonl"
        position = begin
        with ExitStack() as stack:
            raw = stack.enter_context(open_input(path))
            file = stack.enter_context(compression.reader(raw, path))
            try:
                _skip(file, begin.offset, plain=not compression.is_compressed(path))
                while (end is None or position.offset < end) and (
                    line := file.readline(self._max_bytes + 2)
                ):
                    length = len(line) + _rest(file, line, self._max_bytes)
                    first = position.offset == 0
                    position = _after(position, length)
                    self._within = raw.tell() if raw.seekable() else position.offset
                    if length > len(line) or len(line.rstrip(b"\r\n")) > self._max_bytes:
                        found = _Found("", None, self._too_long())
                    else:
                        line = line.removeprefix(BOM) if first else line
                        found = self._json(line) if as_json else self._text(line)
                    yield _record(path, found, length, position)
            except compression.damage(path) as error:
                raise JobError(
                    f"{path}, after line {position.line}: the file is damaged: {error}"
                ) from None

    def _rows(self, path: Path, begin: Position, end: int | None) -> Iterator[Document]:
        position = begin
        on_disk = _bytes_of(path)
        for value, given_id, share in parquet.rows(
            path, self._source.field, self._source.id_field, begin.offset, end
        ):
            position = _after(position, 1)
            self._within = int(share * on_disk)
            length = 0 if value is None else len(value)
            if value is None:
                found = _Found("", given_id, self._null("column"))
            elif length > self._max_bytes:
                found = _Found("", given_id, self._too_long())
            else:
                found = self._text(value, given_id, stripped=False)
            yield _record(path, found, length, position, "row")

    def _whole(self, path: Path, begin: Position, _: int | None) -> Iterator[Document]:
        """Yield the file as one document, without the newline at its end."""
        if begin.offset:
            return
        content = bytearray()
        with ExitStack() as stack:
            raw = stack.enter_context(open_input(path))
            file = stack.enter_context(compression.reader(raw, path))
            try:
                # Piece by piece, because a read of the whole limit would set that much aside.
                while len(content) < self._max_bytes + 2 and (
                    piece := file.read(min(PIECE_BYTES, self._max_bytes + 2 - len(content)))
                ):
                    content += piece
            except compression.damage(path) as error:
                raise JobError(f"{path}: the file is damaged: {error}") from None
        self._within = _bytes_of(path) or len(content)
        if len(content) > self._max_bytes:
            found = _Found("", None, self._too_long())
        else:
            found = self._text(bytes(content).removeprefix(BOM))
        yield _record(path, found, len(content), _after(begin, max(1, len(content))), "")

    def _json(self, line: bytes) -> "_Found":
        source = self._source
        try:
            row = json_line.parse(line)
        except ValueError as error:
            return _Found("", None, Problem("invalid_json", str(error)))
        if not isinstance(row, dict):
            return _Found("", None, Problem("invalid_json", "not a JSON object"))
        given_id = None if source.id_field is None else json_line.exact(line, row, source.id_field)
        if source.field not in row:
            message = f"there is no field {self._field}"
            return _Found("", given_id, Problem("missing_field", message))
        text = row[source.field]
        if text is None:
            return _Found("", given_id, self._null("field"))
        if not isinstance(text, str):
            message = f"the field {self._field} is not a string"
            return _Found("", given_id, Problem("not_text", message))
        if not json_line.is_text(text):
            message = f"the field {self._field} has a lone surrogate (\\ud800 to \\udfff)"
            return _Found("", given_id, Problem("invalid_json", message))
        return self._checked(text, given_id)

    def _text(self, content: bytes, given_id: Id = None, stripped: bool = True) -> "_Found":
        if stripped:
            content = content.removesuffix(b"\n").removesuffix(b"\r")
            if b"\0" in content:  # in a file of text; as a field it may be meant
                message = "a NUL byte: not text, or UTF-16, which must be made UTF-8 first"
                return _Found("", given_id, Problem("not_text", message))
        try:
            return self._checked(content.decode(), given_id)
        except UnicodeDecodeError as error:
            message = f"not UTF-8, from byte {error.start + 1} of the document on"
            return _Found("", given_id, Problem("invalid_utf8", message))

    def _checked(self, text: str, given_id: Id) -> "_Found":
        if not self._source.keep_empty and (not text or text.isspace()):
            return _Found("", given_id, Problem("empty", "the document is empty"))
        return _Found(text, given_id, None)

    def _too_long(self) -> Problem:
        return Problem("too_long", f"more than {self._source.max_bytes} bytes")

    def _null(self, called: str) -> Problem:
        return Problem("null", f"the {called} {self._field} is null")

    _within = 0


@dataclass(frozen=True, slots=True)
class _Found:
    text: str
    id: Id
    problem: Problem | None


def kind_of(path: Path) -> Kind:
    """Return what an input is by its name: JSON lines, Parquet, or else a document a line."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = next((s for s in reversed(suffixes) if s not in compression.SUFFIXES), "")
    if last in (".jsonl", ".ndjson", ".json"):
        return "jsonl"
    return "parquet" if last == ".parquet" else "text"


def _record(
    path: Path, found: _Found, length: int, end: Position, unit: Literal["line", "row", ""] = "line"
) -> Document:
    name = printable(str(path))
    return Document(
        name, end.line, end.records, found.text, found.id, found.problem, length, end, unit
    )


def _bytes_of(path: Path) -> int:
    try:
        return size(path)
    except OSError as error:
        raise JobError(f"{path}: {error.strerror or error}") from None


def _after(position: Position, size: int) -> Position:
    return Position(
        position.source, position.offset + size, position.line + 1, position.records + 1
    )


def _rest(file: IO[bytes], line: bytes, max_bytes: int) -> int:
    """Skip the rest of a line that was read up to its limit, and return its size in bytes."""
    skipped = 0
    if len(line) == max_bytes + 2 and not line.endswith(b"\n"):
        while piece := file.readline(SKIP_BYTES):
            skipped += len(piece)
            if piece.endswith(b"\n"):
                break
    return skipped


def _skip(file: IO[bytes], offset: int, plain: bool) -> None:
    if plain and file.seekable():
        file.seek(file.tell() + offset)
        return
    while offset and (piece := file.read(min(offset, SKIP_BYTES))):
        offset -= len(piece)
