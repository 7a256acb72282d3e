"""Compressed files: .gz and .zst, read as one stream and written as a sequence of frames.

A sequence of gzip members or zstd frames is itself a gzip or zstd file. A frame depends on its own
bytes alone, so that a file can be cut off at the end of a frame and continued there. A file that
ends inside a frame is corrupt.
"""

import gzip
import io
import zlib
from pathlib import Path
from typing import IO, Any

from service.errors import JobError

SUFFIXES = (".gz", ".zst")
GZIP_LEVEL = 6
ZSTD_LEVEL = 3
# The largest window that libzstd decodes: that of `zstd --long=31`.
ZSTD_WINDOW = 1 << 31
# A zstd block decompresses to at most 128 KiB and can be as short as four bytes, so that the
# content of this many compressed bytes is never more than 8 MiB.
ZSTD_READ_BYTES = 256


def is_compressed(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def require_package(path: Path) -> None:
    """Raise JobError if a file of this name needs a package that is not installed."""
    if path.suffix.lower() == ".zst":
        _zstandard(path)


def decompressed(raw: IO[bytes], path: Path) -> IO[bytes]:
    """Return the decompressed content of the open file `raw`, whose name is `path`.

    Reading it raises one of `corruption_errors(path)` if the file is corrupt or cut off.
    """
    if path.suffix.lower() == ".gz":
        return io.BufferedReader(_GzipStream(raw), 1 << 16)
    if path.suffix.lower() == ".zst":
        return io.BufferedReader(_ZstdStream(raw, path), 1 << 16)
    return raw


def compress_frame(content: bytes, path: Path) -> bytes:
    """Return `content` as one frame of a file of this name; equal content gives equal bytes."""
    if path.suffix.lower() == ".gz":
        return gzip.compress(content, GZIP_LEVEL, mtime=0)
    if path.suffix.lower() == ".zst":
        compressor = _zstandard(path).ZstdCompressor(level=ZSTD_LEVEL)
        compressed: bytes = compressor.compress(content)
        return compressed
    return content


def corruption_errors(path: Path) -> tuple[type[Exception], ...]:
    """Return the exceptions of reading a corrupt file of this name."""
    if path.suffix.lower() == ".gz":
        return (EOFError, gzip.BadGzipFile, zlib.error)
    return (EOFError, _zstandard(path).ZstdError) if path.suffix.lower() == ".zst" else ()


class _GzipStream(io.RawIOBase):
    """gzip members. An empty file is an error here, although the standard library accepts it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = _EmptinessCheck(raw)
        self._members = gzip.GzipFile(fileobj=self._raw)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._members.readinto(buffer)
        if not count and self._raw.is_empty:
            raise EOFError("the file is empty")
        return count


class _EmptinessCheck(io.RawIOBase):
    """The compressed bytes; `is_empty` stays True until one was read."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.is_empty = True

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._raw.read(size)
        self.is_empty &= not content
        return content


class _ZstdStream(io.RawIOBase):
    """zstd frames, skippable ones included.

    `decompressobj` is used because `stream_reader` of zstandard ends without an error if the last
    frame is cut off, while `decompressobj` reports whether a frame is complete.
    """

    def __init__(self, raw: IO[bytes], path: Path) -> None:
        self._raw = raw
        self._path = path
        self._zstandard = _zstandard(path)
        self._decompressor = self._zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._frame: Any = None
        self._frame_count = 0
        self._compressed = b""
        self._content = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._content:
            compressed = self._compressed or self._raw.read(ZSTD_READ_BYTES)
            self._compressed = b""
            if not compressed:
                if self._frame is not None or not self._frame_count:
                    raise EOFError("it ends before its last frame does")
                return 0
            self._content = memoryview(self._decompress(compressed))
        count = min(len(buffer), len(self._content))
        buffer[:count] = self._content[:count]
        self._content = self._content[count:]
        return count

    def _decompress(self, compressed: bytes) -> bytes:
        if self._frame is None:
            self._frame = self._decompressor.decompressobj()
            self._frame_count += 1
        try:
            content: bytes = self._frame.decompress(compressed)
        except self._zstandard.ZstdError as error:
            if "memory" in str(error):
                raise JobError(
                    f"{self._path}: not enough memory for the window of a frame; unpack the file "
                    f"first: zstd -d --long=31 {self._path}"
                ) from None
            raise
        if self._frame.eof:
            self._compressed, self._frame = self._frame.unused_data, None
        return content


def _zstandard(path: Path) -> Any:
    try:
        import zstandard
    except ImportError:
        hint = 'in the clone of tiedlm: pip install ".[bulk]"'
        raise JobError(f"{path}: .zst needs zstandard; {hint}") from None
    return zstandard
