"""Writers of payloads: a file of frames, a stream, or rows that become bytes.

A file can be cut off where it was committed, and has its own name only when it is complete. A
stream is written directly.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol, Self

from service.bulk.output.rows import Row
from service.bulk.resume.job_files import PARTIAL, with_suffix
from service.errors import JobError
from service.files import compression
from service.files.atomic import open_regular, sync_file
from service.files.streams import is_stream, open_stream


class Writer(Protocol):
    """`commit` makes the written payloads durable and returns the length of the output.

    It returns None if it postpones the commit; with `last` it never postpones. The unit of the
    length is a matter of each writer, whose `open` takes it as `at`.
    """

    def write(self, payload: Any) -> None: ...

    def commit(self, last: bool) -> int | None: ...

    def close(self) -> None: ...


class FileWriter:
    """A file of bytes. Each payload is a frame if the file is compressed."""

    def __init__(self, file: IO[bytes], name: Path) -> None:
        self._file = file
        self._name = name

    @classmethod
    def open(cls, path: Path, at: int, name: Path) -> Self:
        """Open the file `path` after its first `at` bytes, and cut off the rest.

        `name` is the later name of the file, which decides its compression. Raises JobError if the
        file is shorter than `at`.
        """
        compression.require_package(name)
        file = open_regular(path, "r+b", os.O_CREAT)  # does not truncate the file
        if file.seek(0, os.SEEK_END) < at:
            file.close()
            raise JobError(f"{path} is shorter than its state; use --overwrite to start again")
        file.truncate(at)
        file.seek(at)
        return cls(file, name)

    def write(self, payload: bytes) -> None:
        if payload:
            self._file.write(compression.compress_frame(payload, self._name))

    def commit(self, last: bool) -> int:
        if last and not self._file.tell():
            self._file.write(compression.compress_frame(b"", self._name))
        sync_file(self._file)
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


class StreamWriter:
    """A pipe, a device or a descriptor, such as standard output. It is never committed."""

    def __init__(self, stream: IO[bytes], name: Path) -> None:
        self._stream = stream
        self._name = name
        self._is_empty = True

    @classmethod
    def open(cls, path: Path) -> Self:
        compression.require_package(path)
        return cls(open_stream(path), path)

    def write(self, payload: bytes) -> None:
        if payload:
            self._write_frame(payload)

    def commit(self, last: bool) -> None:
        if last and self._is_empty:
            self._write_frame(b"")

    def close(self) -> None:
        self._stream.close()

    def _write_frame(self, content: bytes) -> None:
        self._is_empty = False
        self._stream.write(compression.compress_frame(content, self._name))
        self._stream.flush()


class RowWriter:
    """Rows that `encode` turns into bytes for another writer."""

    def __init__(self, writer: Writer, encode: Callable[[list[Row]], bytes]) -> None:
        self._writer = writer
        self._encode = encode

    def write(self, payload: list[Row]) -> None:
        self._writer.write(self._encode(payload))

    def commit(self, last: bool) -> int | None:
        return self._writer.commit(last)

    def close(self) -> None:
        self._writer.close()


class NullWriter:
    """A writer without output, for a job that only counts."""

    def write(self, payload: Any) -> None:
        pass

    def commit(self, last: bool) -> int:
        return 0

    def close(self) -> None:
        pass


def open_bytes(path: Path, at: int) -> FileWriter | StreamWriter:
    """Open the output `path`: a stream, or its partial file after the first `at` bytes."""
    if is_stream(path):
        return StreamWriter.open(path)
    return FileWriter.open(with_suffix(path, PARTIAL), at, path)
