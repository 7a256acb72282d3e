"""Text files, read in blocks of bounded size.

`\\r\\n` ends a line as `\\n` does. A byte order mark at the start of a file is not text. The
service reads text by the same rules. This module has no notion of tokens.
"""

import codecs
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from train.errors import CorpusError
from train.runtime.progress import Progress

SPLITS = ("train", "valid", "test")
NEWLINE = b"\n"
CHUNK_BYTES = 1 << 18
LONG_LINE = 1 << 16  # characters; tokenizing a text takes about 50 bytes for each one
BETWEEN_WORDS = re.compile(r"(?<=\S) (?=\S)")


class Content(NamedTuple):
    """The identity and size of a text, without its file names and compression. `bytes` counts line
    ends, too.
    """

    digest: str
    lines: int
    bytes: int


class Block(NamedTuple):
    """Texts to tokenize together. All are whole lines, except the last one if not `ends_line`."""

    texts: list[str]
    ends_line: bool

    def to_bytes(self) -> bytes:
        return ("\n".join(self.texts) + "\n" * self.ends_line).encode()


class Chunk(NamedTuple):
    """Whole lines of a file with their ends, and their numbers in the file, from 1."""

    file: Path
    numbers: Sequence[int] | NDArray[np.int64]
    content: bytes

    def lines(self) -> list[str]:
        """Return the lines without their ends. Raises CorpusError if the content is not text."""
        if b"\x00" in self.content:
            place = self._place(self.content.index(b"\x00"))
            raise CorpusError(
                f"{place}: a NUL byte, which text does not have; save the file as UTF-8"
            )
        try:
            return self.content.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            place = self._place(error.start)
            raise CorpusError(
                f"{place}: not UTF-8 text ({error.reason}); save it as UTF-8"
            ) from None

    def _place(self, at: int) -> str:
        return f"{self.file}, line {self.numbers[self.content.count(NEWLINE, 0, at)]}"


@dataclass(frozen=True)
class Source:
    """The lines `start` to `stop` of files that are read one after another, or the lines that
    `kept` (N,) marks.

    All methods that read raise CorpusError if a file cannot be read or is not text.
    """

    files: tuple[Path, ...]
    start: int = 0
    stop: int | None = None
    kept: NDArray[np.bool_] | None = field(default=None, compare=False)

    @cached_property
    def content(self) -> Content:
        """The hash and size of the text. Reads it once, at about a second per gigabyte."""
        hasher, lines, size = new_hasher(), 0, 0
        for chunk in self._chunks():
            hasher.update(chunk.content)
            lines, size = lines + len(chunk.numbers), size + len(chunk.content)
        return Content(hasher.hexdigest(), lines, size)

    def lines(self) -> Iterator[str]:
        """Yield lines without their ends."""
        for chunk in self._chunks():
            yield from chunk.lines()

    def blocks(self, doing: str) -> Iterator[Block]:
        """Yield the text in order, about CHUNK_BYTES at a time, with progress under the name
        `doing`.
        """
        with Progress(doing, self.content.bytes, "B") as progress:
            for chunk in self._chunks():
                lines = chunk.lines()
                if max(map(len, lines)) <= LONG_LINE:
                    yield Block(lines, True)
                else:
                    for line in lines:
                        *parts, last = cut(line)
                        yield from (Block([part], False) for part in parts)
                        yield Block([last], True)
                progress.update(len(chunk.content))

    def _chunks(self) -> Iterator[Chunk]:
        number = 0  # of the chunk's first line, counted over all files
        for file in self.files:
            before = 0
            for content in _read(file):
                if self.stop is not None and number >= self.stop:
                    return
                count = content.count(NEWLINE)
                kept = self._kept(number, count)
                if len(kept) == count:
                    yield Chunk(file, range(before + 1, before + count + 1), content)
                elif len(kept):
                    lines = content.split(NEWLINE)
                    chosen = [lines[index] for index in kept]
                    yield Chunk(file, kept + before + 1, b"\n".join([*chosen, b""]))
                number, before = number + count, before + count

    def _kept(self, number: int, count: int) -> NDArray[np.int64]:
        """Return which of the `count` lines from line `number` on belong to this source."""
        if self.kept is not None:
            return np.flatnonzero(self.kept[number : number + count])
        stop = number + count if self.stop is None else self.stop
        return np.arange(max(self.start - number, 0), max(min(stop - number, count), 0))


def new_hasher() -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=16)


def cut(line: str) -> Iterator[str]:
    """Yield a long line in parts of at least LONG_LINE characters that tokenize as the whole does.

    Each part except the first begins with a single space between two words. Every tokenizer of
    words or subwords splits its input there anyway: `a b c` gives `a b`, ` c`. A line without such
    a place stays whole.
    """
    begin = 0
    while place := BETWEEN_WORDS.search(line, begin + LONG_LINE):
        yield line[begin : place.start()]
        begin = place.start()
    yield line[begin:]


def _read(file: Path) -> Iterator[bytes]:
    """Yield whole lines, about CHUNK_BYTES at a time, each ending in `\\n`."""
    try:
        packed = file.suffix.lower() == ".gz"
        if packed and not file.stat().st_size:
            raise EOFError("the file is empty: it was cut off")  # gzip accepts an empty file
        with gzip.open(file) if packed else file.open("rb") as stream:
            mark = codecs.BOM_UTF8
            while chunk := stream.read(CHUNK_BYTES).removeprefix(mark):
                chunk += stream.readline()
                chunk = chunk if chunk.endswith(NEWLINE) else chunk + NEWLINE
                yield chunk.replace(b"\r\n", NEWLINE)
                mark = b""
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"cannot read {file}: {error}") from None
