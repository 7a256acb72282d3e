"""Compressed streams: .gz and .zst, read as one stream, written as frames that stand side by side.

A file of gzip members or zstd frames, one after the other, is itself a gzip or zstd file. A frame
depends on its own bytes alone, so that a file cut off at a frame's end goes on as if nothing had
happened.
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


def is_compressed(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def require(path: Path) -> None:
    """Raises JobError where a file of this name needs a package that is not there."""
    if path.suffix.lower() == ".zst":
        _zstandard(path)


def reader(raw: IO[bytes], path: Path) -> IO[bytes]:
    """What a file holds once it is decompressed."""
    if path.suffix.lower() == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw))
    if path.suffix.lower() == ".zst":
        stream = _zstandard(path).ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return io.BufferedReader(stream, 1 << 16)
    return raw


def frame(content: bytes, path: Path) -> bytes:
    """`content` as a frame of a file of this name; the same bytes at every call."""
    if path.suffix.lower() == ".gz":
        return gzip.compress(content, GZIP_LEVEL, mtime=0)
    if path.suffix.lower() == ".zst":
        packed: bytes = _zstandard(path).ZstdCompressor(level=ZSTD_LEVEL).compress(content)
        return packed
    return content


def damage(path: Path) -> tuple[type[Exception], ...]:
    """What reading raises where a compressed file is broken or cut off."""
    if path.suffix.lower() == ".gz":
        return (EOFError, gzip.BadGzipFile, zlib.error)
    return (_zstandard(path).ZstdError,) if path.suffix.lower() == ".zst" else ()


def _zstandard(path: Path) -> Any:
    try:
        import zstandard
    except ImportError:
        raise JobError(f'{path}: .zst needs zstandard: pip install "tiedlm[bulk]"') from None
    return zstandard
