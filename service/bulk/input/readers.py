"""Readers of documents: lines of text, JSON lines, rows of Parquet, whole files.

One document at a time is in memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from service.bulk.document import Document, Position, Unit
from service.bulk.input import parquet
from service.bulk.input.files import open_input, printable, size_on_disk
from service.bulk.input.text_parser import Kind, ParsedText, Source, TextParser
from service.errors import JobError
from service.files import compression

SKIP_BYTES = 1 << 16
READ_BYTES = 1 << 20
MAX_READ_BYTES = 1 << 62  # the largest size that a C integer of 64 bits holds safely
BOM = b"\xef\xbb\xbf"


class Reader:
    """Documents of several inputs, in order. `bytes_read` counts bytes of the files on the disk."""

    def __init__(self, paths: list[Path], source: Source) -> None:
        self._paths = paths
        self._source = source
        self._parse = TextParser(source)
        self._max_bytes = min(source.max_bytes, MAX_READ_BYTES)
        self._bytes_of_input = 0
        self.bytes_read = 0

    def documents(
        self, begin: Position, end: int | None = None, *, one_input: bool = False
    ) -> Iterator[Document]:
        """Yield the documents from `begin` to the end of the inputs.

        With `one_input`, reading stops at the end of that input or at its offset `end`, which must
        be the start of a line or row. Raises JobError for an input that cannot be read.
        """
        bytes_before = sum(map(size_on_disk, self._paths[: begin.source]))
        last = begin.source + 1 if one_input else len(self._paths)
        position = begin
        for index in range(begin.source, last):
            path = self._paths[index]
            for document in self._input(path, position, end):
                position = document.end
                yield document
                self.bytes_read = bytes_before + self._bytes_of_input
            bytes_before += size_on_disk(path) or self._bytes_of_input
            self.bytes_read = bytes_before
            position = Position(index + 1, 0, 0, position.documents)

    def _input(self, path: Path, begin: Position, end: int | None) -> Iterator[Document]:
        kind = self._source.kind or kind_of(path)
        self._bytes_of_input = 0
        try:
            if kind == "parquet":
                yield from self._rows(path, begin, end)
            elif kind == "file":
                yield from self._whole(path, begin)
            else:
                yield from self._lines(path, begin, end, as_json=kind == "jsonl")
        except OSError as error:
            raise JobError(f"{path}: {error.strerror or error}") from None

    def _lines(
        self, path: Path, begin: Position, end: int | None, *, as_json: bool
    ) -> Iterator[Document]:
        position = begin
        with _open(path) as (raw, file):
            try:
                _skip(file, begin.offset, plain=not compression.is_compressed(path))
                while (end is None or position.offset < end) and (
                    line := file.readline(self._max_bytes + 2)
                ):
                    size = len(line) + _skip_line(file, line, self._max_bytes)
                    is_first = position.offset == 0
                    position = _after(position, size)
                    self._bytes_of_input = raw.tell() if raw.seekable() else position.offset
                    if size > len(line) or len(line.rstrip(b"\r\n")) > self._max_bytes:
                        parsed = self._parse.too_long()
                    else:
                        line = line.removeprefix(BOM) if is_first else line
                        parsed = self._parse.json(line) if as_json else self._parse.line(line)
                    yield _document(path, parsed, size, position)
            except compression.corruption_errors(path) as error:
                raise JobError(
                    f"{path}, after line {position.line}: the file is damaged: {error}"
                ) from None

    def _rows(self, path: Path, begin: Position, end: int | None) -> Iterator[Document]:
        position = begin
        file_size = size_on_disk(path)
        for value, row_id, share in parquet.rows(
            path, self._source.field, self._source.id_field, begin.offset, end
        ):
            position = _after(position, 1)
            self._bytes_of_input = int(share * file_size)
            size = 0 if value is None else len(value)
            if value is None:
                parsed = self._parse.null("column", row_id)
            elif size > self._max_bytes:
                parsed = self._parse.too_long(row_id)
            else:
                parsed = self._parse.cell(value, row_id)
            yield _document(path, parsed, size, position, "row")

    def _whole(self, path: Path, begin: Position) -> Iterator[Document]:
        """Yield the file as one document, without the newline at its end."""
        if begin.offset:
            return
        content = bytearray()
        with _open(path) as (_, file):
            try:
                # In small reads, because one read of the whole limit would allocate that much.
                while len(content) < self._max_bytes + 2 and (
                    part := file.read(min(READ_BYTES, self._max_bytes + 2 - len(content)))
                ):
                    content += part
            except compression.corruption_errors(path) as error:
                raise JobError(f"{path}: the file is damaged: {error}") from None
        self._bytes_of_input = size_on_disk(path) or len(content)
        if len(content) > self._max_bytes:
            parsed = self._parse.too_long()
        else:
            parsed = self._parse.line(bytes(content).removeprefix(BOM))
        end = _after(begin, max(1, len(content)))
        yield _document(path, parsed, len(content), end, "")


def kind_of(path: Path) -> Kind:
    """Return the kind of an input by its name: JSON lines, Parquet, or text."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = next((s for s in reversed(suffixes) if s not in compression.SUFFIXES), "")
    if last in (".jsonl", ".ndjson", ".json"):
        return "jsonl"
    return "parquet" if last == ".parquet" else "text"


@contextmanager
def _open(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open an input: the file on the disk, and its content, which is decompressed."""
    with open_input(path) as raw, compression.decompressed(raw, path) as file:
        yield raw, file


def _document(
    path: Path, parsed: ParsedText, size: int, end: Position, unit: Unit = "line"
) -> Document:
    name = printable(str(path))
    return Document(
        name, end.line, end.documents, parsed.text, parsed.id, parsed.problem, size, end, unit
    )


def _after(position: Position, size: int) -> Position:
    return Position(
        position.source, position.offset + size, position.line + 1, position.documents + 1
    )


def _skip_line(file: IO[bytes], line: bytes, max_bytes: int) -> int:
    """Skip the rest of a line that was read up to the limit, and return its size in bytes."""
    skipped = 0
    if len(line) == max_bytes + 2 and not line.endswith(b"\n"):
        while part := file.readline(SKIP_BYTES):
            skipped += len(part)
            if part.endswith(b"\n"):
                break
    return skipped


def _skip(file: IO[bytes], offset: int, plain: bool) -> None:
    if plain and file.seekable():
        file.seek(file.tell() + offset)
        return
    while offset and (part := file.read(min(offset, SKIP_BYTES))):
        offset -= len(part)
