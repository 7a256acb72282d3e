"""Sinks of payloads: one growing file, a folder of Parquet parts, or a stream.

A file and a folder can be cut off where they were committed, and appear under their name only when
they are whole. A stream is written as it comes.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from service.bulk.input.ids import as_text
from service.bulk.input.parquet import pyarrow
from service.bulk.job_files import PARTIAL, UNFINISHED_PART, beside, remove
from service.bulk.output.formats import Columns, Row
from service.errors import JobError, OutputError
from service.files import compression
from service.files.outputs import is_stream, open_beside, open_stream, refuse_existing

BLOCKS_OF_A_PART = 64


class Sink(Protocol):
    """`commit` makes durable what was written and returns how much that is now, or None where it
    is not time yet; with `last` it always does.
    """

    def write(self, payload: Any) -> None: ...

    def commit(self, last: bool) -> int | None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...


class FileSink:
    """A file of bytes; each payload is a frame where it is compressed."""

    def __init__(self, path: Path, committed: int) -> None:
        """Goes on after `committed` bytes."""
        compression.require(path)
        self._path = path
        self._partial = beside(path, PARTIAL)
        # Not cut off by opening it: what was committed stays.
        self._file = open_beside(self._partial, "r+b", os.O_CREAT)
        if self._file.seek(0, os.SEEK_END) < committed:
            self._file.close()
            raise JobError(
                f"{self._partial} is shorter than its state says; --overwrite begins again"
            )
        self._file.truncate(committed)
        self._file.seek(committed)

    def write(self, payload: bytes) -> None:
        if payload:
            self._file.write(compression.frame(payload, self._path))

    def commit(self, last: bool) -> int | None:
        if last and not self._file.tell():
            self._file.write(compression.frame(b"", self._path))
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def finish(self) -> None:
        self._file.close()
        refuse_existing(self._path, overwrite=False)  # it may have come while the job was running
        self._partial.replace(self._path)

    def close(self) -> None:
        self._file.close()


class StreamSink:
    """A pipe, a device or a descriptor, such as standard output; nothing is committed."""

    def __init__(self, path: Path) -> None:
        compression.require(path)
        self._path = path
        self._stream = open_stream(path)
        self._any = False

    def write(self, payload: bytes) -> None:
        if payload:
            self._any = True
            self._stream.write(compression.frame(payload, self._path))
            self._stream.flush()

    def commit(self, last: bool) -> int | None:
        if last and not self._any:
            self._stream.write(compression.frame(b"", self._path))
            self._stream.flush()
        return None

    def finish(self) -> None:
        self._stream.close()

    def close(self) -> None:
        self._stream.close()


def bytes_sink(path: Path, committed: int) -> FileSink | StreamSink:
    return StreamSink(path) if is_stream(path) else FileSink(path, committed)


class RowsSink:
    """Rows written as bytes by `encode`, through a sink of bytes."""

    def __init__(self, sink: FileSink | StreamSink, encode: Callable[[list[Row]], bytes]) -> None:
        self._sink = sink
        self._encode = encode

    def write(self, payload: list[Row]) -> None:
        self._sink.write(self._encode(payload))

    def commit(self, last: bool) -> int | None:
        return self._sink.commit(last)

    def finish(self) -> None:
        self._sink.finish()

    def close(self) -> None:
        self._sink.close()


class Part:
    """One Parquet file, which appears under its name when it is whole."""

    def __init__(self, path: Path, columns: Columns, subword: bool) -> None:
        self._pa = pyarrow(path)
        self._path = path
        self._unfinished = path.with_name(f".{path.name}")
        self._schema = schema(self._pa, columns, subword)
        # Opened here and not by pyarrow, which takes a name with a colon for a URI, and only names
        # that are UTF-8.
        self._file = self._unfinished.open("wb")
        self._writer = self._pa.parquet.ParquetWriter(self._file, self._schema, compression="zstd")

    def write(self, payload: list[Row]) -> None:
        for row in payload:
            if "id" in row:
                row["id"] = as_text(row["id"])
        if payload:
            self._writer.write_table(self._pa.Table.from_pylist(payload, self._schema))

    def commit(self, last: bool) -> int | None:
        return None

    def finish(self) -> None:
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._unfinished.replace(self._path)

    def close(self) -> None:
        try:
            self._writer.close()
        finally:
            self._file.close()


class ParquetSink:
    """A folder of `part-00000.parquet` and so on, a row group for each block, as many blocks a
    part as always, so that a part that was begun again is the same to the byte.
    """

    def __init__(self, path: Path, committed: int, columns: Columns, subword: bool) -> None:
        """Goes on after `committed` parts."""
        self._columns = columns
        self._subword = subword
        self._path = path
        self._partial = beside(path, PARTIAL)
        if self._partial.is_symlink():
            raise OutputError(f"{self._partial} is a symbolic link; remove it")
        self._partial.mkdir(exist_ok=True)
        self._parts = committed
        self._blocks = 0
        self._part: Part | None = None
        whole = {part_name(index, ".parquet") for index in range(committed)}
        for file in self._partial.iterdir():
            if file.name not in whole and UNFINISHED_PART.fullmatch(file.name):
                remove(file)
        missing = sorted(name for name in whole if not (self._partial / name).is_file())
        if missing:
            raise JobError(f"{self._partial / missing[0]} is missing; --overwrite begins again")

    def write(self, payload: list[Row]) -> None:
        if self._part is None:
            name = part_name(self._parts, ".parquet")
            self._part = Part(self._partial / name, self._columns, self._subword)
        self._part.write(payload)
        self._blocks += 1

    def commit(self, last: bool) -> int | None:
        if not last and self._blocks < BLOCKS_OF_A_PART:
            return None
        if self._part is None and not self._parts:  # nothing at all: a part that has the columns
            self.write([])
        if self._part is not None:
            self._part.finish()
            self._part = None
            self._parts += 1
        self._blocks = 0
        return self._parts

    def finish(self) -> None:
        self._partial.replace(self._path)

    def close(self) -> None:
        if self._part is not None:
            self._part.close()


class NoSink:
    """For a job that only counts."""

    def write(self, payload: Any) -> None:
        pass

    def commit(self, last: bool) -> int | None:
        return 0

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


def part_name(index: int, suffix: str) -> str:
    return f"part-{index:05d}{suffix}"


def schema(pa: Any, columns: Columns, subword: bool) -> Any:
    """The columns' types. Ids that inputs hand on are written as JSON where they are no text."""
    counts = {"line", "token_count", "oov_count", "word_count"}
    texts = {"input", "id", "text", "bucket"}

    def kind(name: str) -> Any:
        return pa.string() if name in texts else pa.int64() if name in counts else pa.float64()

    fields = [(name, kind(name)) for name in columns.names]
    if columns.tokens:
        figures = [("logprob", pa.float64()), ("cross_entropy", pa.float64())]
        places = [("text", pa.string()), ("start", pa.int64()), ("end", pa.int64())]
        text, *span = places
        names = [("id", pa.int64()), text, ("surface", pa.string())]
        token = pa.struct([*names, *span, *figures, ("oov", pa.bool_())])
        fields.append(("tokens", pa.list_(token)))
        if subword:
            word = pa.struct([*places, *figures, ("token_count", pa.int64())])
            fields.append(("words", pa.list_(word)))
    return pa.schema(fields)
