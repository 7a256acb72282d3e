"""Inputs → records: lines of text, JSON lines, rows of Parquet, whole files; never more than one
document in memory.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import orjson

from service import compression
from service.bulk import tables
from service.bulk.record import Position, Problem, Record
from service.errors import JobError

Kind = Literal["text", "jsonl", "parquet", "file"]
MAX_DOCUMENT_BYTES = 4 << 20
SKIP_BYTES = 1 << 16
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Source:
    """How inputs are read. `field` holds the text in JSON lines and Parquet, `id_field` what is
    handed on with it; longer lines than `max_bytes` are problems, and so are empty documents.
    """

    field: str = "text"
    id_field: str | None = None
    kind: Kind | None = None  # by the name of each input
    max_bytes: int = MAX_DOCUMENT_BYTES
    keep_empty: bool = False


class Reader:
    """Records of several inputs, in order. `bytes_read` is how far in the files on the disk."""

    def __init__(self, paths: list[Path], source: Source) -> None:
        self._paths = paths
        self._source = source
        self.bytes_read = 0

    def records(
        self, begin: Position, end: int | None = None, *, one_input: bool = False
    ) -> Iterator[Record]:
        """From `begin` to the end of the inputs; or of `one_input`, up to the offset `end`, which
        must be that of a line or row. Raises JobError for an unreadable input.
        """
        done = sum(path.stat().st_size for path in self._paths[: begin.source])
        last = begin.source + 1 if one_input else len(self._paths)
        position = begin
        for index in range(begin.source, last):
            path = self._paths[index]
            for record in self._input(path, position, end):
                position = record.end
                yield record
                self.bytes_read = done + self._within
            done += path.stat().st_size
            self.bytes_read = done
            position = Position(index + 1, 0, 0, position.records)

    def _input(self, path: Path, begin: Position, end: int | None) -> Iterator[Record]:
        kind = self._source.kind or kind_of(path)
        read = {"parquet": self._rows, "file": self._whole}.get(kind, self._lines)
        try:
            yield from read(path, begin, end)
        except OSError as error:
            raise JobError(f"{path}: {error.strerror or error}") from None

    def _lines(self, path: Path, begin: Position, end: int | None) -> Iterator[Record]:
        as_json = (self._source.kind or kind_of(path)) == "jsonl"
        position = begin
        with ExitStack() as stack:
            raw = stack.enter_context(path.open("rb"))
            file = stack.enter_context(compression.reader(raw, path))
            try:
                _skip(file, begin.offset, plain=not compression.is_compressed(path))
                while (end is None or position.offset < end) and (
                    line := file.readline(self._source.max_bytes + 2)
                ):
                    size = len(line) + _rest(file, line, self._source.max_bytes)
                    self._within = raw.tell()
                    first = position.offset == 0
                    position = _after(position, size)
                    if size > len(line) or len(line.rstrip(b"\r\n")) > self._source.max_bytes:
                        found = _Found("", None, self._too_long())
                    else:
                        line = line.removeprefix(BOM) if first else line
                        found = self._json(line) if as_json else self._text(line)
                    yield self._record(path, found, size, position)
            except compression.damage(path) as error:
                raise JobError(
                    f"{path}, after line {position.line}: the file is damaged: {error}"
                ) from None

    def _rows(self, path: Path, begin: Position, end: int | None) -> Iterator[Record]:
        position = begin
        size = path.stat().st_size
        for value, given_id, share in tables.rows(
            path, self._source.field, self._source.id_field, begin.offset, end
        ):
            position = _after(position, 1)
            self._within = int(share * size)
            length = 0 if value is None else len(value)
            if value is None:
                found = _Found("", given_id, self._missing())
            elif length > self._source.max_bytes:
                found = _Found("", given_id, self._too_long())
            else:
                found = self._text(value, given_id, stripped=False)
            yield self._record(path, found, length, position)

    def _whole(self, path: Path, begin: Position, _: int | None) -> Iterator[Record]:
        """The file as one document, without the newline at its end."""
        if begin.offset:
            return
        with ExitStack() as stack:
            raw = stack.enter_context(path.open("rb"))
            file = stack.enter_context(compression.reader(raw, path))
            try:
                content = file.read(self._source.max_bytes + 2)
            except compression.damage(path) as error:
                raise JobError(f"{path}: the file is damaged: {error}") from None
        self._within = path.stat().st_size
        if len(content) > self._source.max_bytes:
            found = _Found("", None, self._too_long())
        else:
            found = self._text(content.removeprefix(BOM))
        yield self._record(path, found, len(content), _after(begin, max(1, len(content))))

    def _json(self, line: bytes) -> "_Found":
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            return _Found("", None, Problem("invalid_json", f"not JSON: {error.msg}"))
        if not isinstance(row, dict):
            return _Found("", None, Problem("invalid_json", "not a JSON object"))
        given_id = None if self._source.id_field is None else row.get(self._source.id_field)
        text = row.get(self._source.field)
        if text is None:
            return _Found("", given_id, self._missing())
        if not isinstance(text, str):
            message = f"the field {self._source.field} is no string"
            return _Found("", given_id, Problem("not_text", message))
        return self._checked(text, given_id)

    def _text(self, content: bytes, given_id: Any = None, stripped: bool = True) -> "_Found":
        if stripped:
            content = content.removesuffix(b"\n").removesuffix(b"\r")
            if b"\0" in content:  # in a file of text; as a field it may be meant
                message = "a NUL byte: no text, or UTF-16, which must be made UTF-8 first"
                return _Found("", given_id, Problem("not_text", message))
        try:
            return self._checked(content.decode(), given_id)
        except UnicodeDecodeError as error:
            message = f"not UTF-8, from byte {error.start + 1} of the document on"
            return _Found("", given_id, Problem("invalid_utf8", message))

    def _checked(self, text: str, given_id: Any) -> "_Found":
        if not self._source.keep_empty and (not text or text.isspace()):
            return _Found("", given_id, Problem("empty", "the document is empty"))
        return _Found(text, given_id, None)

    def _too_long(self) -> Problem:
        return Problem("too_long", f"more than {self._source.max_bytes} bytes")

    def _missing(self) -> Problem:
        return Problem("missing_field", f"there is no field {self._source.field}")

    def _record(self, path: Path, found: "_Found", size: int, end: Position) -> Record:
        return Record(
            str(path), end.line, end.records, found.text, found.id, found.problem, size, end
        )

    _within = 0


@dataclass(frozen=True, slots=True)
class _Found:
    text: str
    id: Any
    problem: Problem | None


def kind_of(path: Path) -> Kind:
    """By its name: JSON lines, Parquet, or else a document a line."""
    suffixes = [suffix for suffix in path.suffixes if suffix not in compression.SUFFIXES]
    last = suffixes[-1].lower() if suffixes else ""
    if last in (".jsonl", ".ndjson", ".json"):
        return "jsonl"
    return "parquet" if last == ".parquet" else "text"


def _after(position: Position, size: int) -> Position:
    return Position(
        position.source, position.offset + size, position.line + 1, position.records + 1
    )


def _rest(file: IO[bytes], line: bytes, max_bytes: int) -> int:
    """Skip what is left of a line that was read up to its limit; how many bytes that was."""
    skipped = 0
    if len(line) == max_bytes + 2 and not line.endswith(b"\n"):
        while piece := file.readline(SKIP_BYTES):
            skipped += len(piece)
            if piece.endswith(b"\n"):
                break
    return skipped


def _skip(file: IO[bytes], offset: int, plain: bool) -> None:
    if plain:
        file.seek(offset)
        return
    while offset and (piece := file.read(min(offset, SKIP_BYTES))):
        offset -= len(piece)
