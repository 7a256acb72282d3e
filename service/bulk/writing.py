"""Where payloads go: one growing file, or a folder of Parquet parts. Both can be cut off where
they were committed, and both appear under their name only when they are whole.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from service.bulk import compression
from service.bulk.formats import Columns, Row
from service.bulk.ids import as_text
from service.bulk.tables import pyarrow
from service.errors import JobError

PARTIAL = ".partial"
BLOCKS_OF_A_PART = 64


class Sink(Protocol):
    """`commit` makes durable what was written and says how much it is now, or None where it is not
    time yet; with `last` it always does.
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
        self._partial = path.with_name(path.name + PARTIAL)
        self._file = self._partial.open("r+b" if self._partial.exists() else "w+b")
        if self._file.seek(0, os.SEEK_END) < committed:
            self._file.close()
            raise JobError(f"{self._partial} is shorter than its state says; --overwrite")
        self._file.truncate(committed)
        self._file.seek(committed)

    def write(self, payload: bytes) -> None:
        if payload:
            self._file.write(compression.frame(payload, self._path))

    def commit(self, last: bool) -> int | None:
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def finish(self) -> None:
        self._file.close()
        self._partial.replace(self._path)

    def close(self) -> None:
        self._file.close()


class RowsSink:
    """Rows written as bytes by `encode`, through a FileSink."""

    def __init__(self, sink: FileSink, encode: Callable[[list[Row]], bytes]) -> None:
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
        self._writer = self._pa.parquet.ParquetWriter(
            self._unfinished, self._schema, compression="zstd"
        )

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
        with self._unfinished.open("r+b") as file:
            os.fsync(file.fileno())
        self._unfinished.replace(self._path)

    def close(self) -> None:
        self._writer.close()


class ParquetSink:
    """A folder of `part-00000.parquet` and so on, a row group for each block, as many blocks a
    part as always, so that a part that was begun again is the same to the byte.
    """

    def __init__(self, path: Path, committed: int, columns: Columns, subword: bool) -> None:
        """Goes on after `committed` parts."""
        self._columns = columns
        self._subword = subword
        self._path = path
        self._partial = path.with_name(path.name + PARTIAL)
        self._partial.mkdir(exist_ok=True)
        self._parts = committed
        self._blocks = 0
        self._part: Part | None = None
        for file in self._partial.iterdir():
            if file.name not in {part_name(index, ".parquet") for index in range(committed)}:
                file.unlink()

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


def remove(path: Path) -> None:
    """A file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
        token = pa.struct([("id", pa.int64()), *places, *figures, ("oov", pa.bool_())])
        fields.append(("tokens", pa.list_(token)))
        if subword:
            word = pa.struct([*places, *figures, ("token_count", pa.int64())])
            fields.append(("words", pa.list_(word)))
    return pa.schema(fields)
