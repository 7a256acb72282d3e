"""Compressed streams: .gz and .zst, read as one stream, written as frames that stand side by side.

A file of gzip members or zstd frames, one after the other, is itself a gzip or zstd file. A frame
depends on its own bytes alone, so that a file cut off at a frame's end goes on as if nothing had
happened. A file that ends before its frame does is damaged.
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
# A block of zstd is 128 KiB and can be as short as four bytes, so that a piece of this size is
# never more than 8 MiB.
ZSTD_PIECE = 256


def is_compressed(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def require(path: Path) -> None:
    """Raise JobError where a file of this name needs a package that is not there."""
    if path.suffix.lower() == ".zst":
        _zstandard(path)


def reader(raw: IO[bytes], path: Path) -> IO[bytes]:
    """Return what a file holds once it is decompressed; reading raises what `damage` names."""
    if path.suffix.lower() == ".gz":
        return io.BufferedReader(_GzipStream(raw), 1 << 16)
    if path.suffix.lower() == ".zst":
        return io.BufferedReader(_ZstdStream(raw, path), 1 << 16)
    return raw


def frame(content: bytes, path: Path) -> bytes:
    """Return `content` as a frame of a file of this name; the same bytes at every call."""
    if path.suffix.lower() == ".gz":
        return gzip.compress(content, GZIP_LEVEL, mtime=0)
    if path.suffix.lower() == ".zst":
        packed: bytes = _zstandard(path).ZstdCompressor(level=ZSTD_LEVEL).compress(content)
        return packed
    return content


def damage(path: Path) -> tuple[type[Exception], ...]:
    """Return what reading raises where a compressed file is broken or cut off."""
    if path.suffix.lower() == ".gz":
        return (EOFError, gzip.BadGzipFile, zlib.error)
    return (EOFError, _zstandard(path).ZstdError) if path.suffix.lower() == ".zst" else ()


class _GzipStream(io.RawIOBase):
    """gzip members; a file without one is cut off, which the standard library lets pass."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._counted = _Counted(raw)
        self._members = gzip.GzipFile(fileobj=self._counted)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._members.readinto(buffer)
        if not count and not self._counted.any:
            raise EOFError("the file is empty")
        return count


class _Counted(io.RawIOBase):
    """Bytes on their way to the decompressor; `any` says whether there was one."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.any = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._raw.read(size)
        self.any |= bool(piece)
        return piece


class _ZstdStream(io.RawIOBase):
    """zstd frames, and skippable ones among them. zstandard's `stream_reader` ends without an error
    where the last frame is cut off; `decompressobj` says whether a frame reached its end.
    """

    def __init__(self, raw: IO[bytes], path: Path) -> None:
        self._raw = raw
        self._path = path
        self._zstandard = _zstandard(path)
        self._decompressor = self._zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._frame: Any = None
        self._frames = 0
        self._packed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            piece = self._packed or self._raw.read(ZSTD_PIECE)
            self._packed = b""
            if not piece:
                if self._frame is not None or not self._frames:
                    raise EOFError("it ends before its last frame does")
                return 0
            self._ready = memoryview(self._decompressed(piece))
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _decompressed(self, piece: bytes) -> bytes:
        if self._frame is None:
            self._frame = self._decompressor.decompressobj()
            self._frames += 1
        try:
            content: bytes = self._frame.decompress(piece)
        except self._zstandard.ZstdError as error:
            if "memory" in str(error):
                raise JobError(
                    f"{self._path}: a frame needs more memory than there is for its window; unpack "
                    f"it first: zstd -d --long=31 {self._path}"
                ) from None
            raise
        if self._frame.eof:
            self._packed, self._frame = self._frame.unused_data, None
        return content


def _zstandard(path: Path) -> Any:
    try:
        import zstandard
    except ImportError:
        hint = 'in the clone of tiedlm: pip install ".[bulk]"'
        raise JobError(f"{path}: .zst needs zstandard; {hint}") from None
    return zstandard
