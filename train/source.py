"""Text on the disk: which files and lines make a split, read in blocks of bounded size.

A corpus folder holds `train`, `valid` and `test`, each a `.txt`, a `.txt.gz` or a folder of them.
Where there is text without a split, the last 5 % of the lines are the test split and the 5 %
before them the validation split. A carriage return before a line's end belongs to the end, and the
mark that some editors put before UTF-8 is none of the text, as where the model is served. What a
token is, is not known here.
"""

import codecs
import gzip
import hashlib
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from train.errors import CorpusError

SPLITS = ("train", "valid", "test")
SUFFIXES = (".txt", ".txt.gz")
CHUNK_BYTES = 1 << 18
LONG_LINE = 1 << 16  # characters; tokenizing a text takes about 50 bytes for each one
BETWEEN_WORDS = re.compile(r"(?<=\S) (?=\S)")


class Content(NamedTuple):
    """What a text is, wherever it lies and however it is packed. `bytes` counts line ends too."""

    digest: str
    lines: int
    bytes: int


class Block(NamedTuple):
    """Texts to tokenize together: whole lines, but for the last one where `ends_line` is false."""

    texts: list[str]
    ends_line: bool

    def to_bytes(self) -> bytes:
        return ("\n".join(self.texts) + "\n" * self.ends_line).encode()


@dataclass(frozen=True)
class Source:
    """The lines `start` to `stop` of some files read one after another.

    All that reads raises CorpusError for what is not text.
    """

    files: tuple[Path, ...]
    start: int = 0
    stop: int | None = None

    @cached_property
    def content(self) -> Content:
        """Read once, at about a second a gigabyte."""
        hasher, lines, size = new_hasher(), 0, 0
        for _, _, chunk in self._chunks():
            hasher.update(chunk)
            lines, size = lines + chunk.count(b"\n"), size + len(chunk)
        return Content(hasher.hexdigest(), lines, size)

    def lines(self) -> Iterator[str]:
        """Lines without their ends."""
        for file, before, chunk in self._chunks():
            yield from _decode(file, before, chunk)

    def blocks(self, doing: str) -> Iterator[Block]:
        """The text in order, about CHUNK_BYTES at a time, with a progress bar that says `doing`."""
        with tqdm(desc=doing, total=self.content.bytes, unit="B", unit_scale=True) as bar:
            for file, before, chunk in self._chunks():
                lines = _decode(file, before, chunk)
                if max(map(len, lines)) <= LONG_LINE:
                    yield Block(lines, True)
                else:
                    for line in lines:
                        *parts, last = cut(line)
                        yield from (Block([part], False) for part in parts)
                        yield Block([last], True)
                bar.update(len(chunk))

    def _chunks(self) -> Iterator[tuple[Path, int, bytes]]:
        """Whole lines with their ends, the file they are from, and the lines before them in it."""
        stop = math.inf if self.stop is None else self.stop
        number = 0
        for file in self.files:
            before = 0
            for chunk in _read(file):
                if number >= stop:
                    return
                count = chunk.count(b"\n")
                first, last = max(self.start - number, 0), int(min(stop - number, count))
                if last - first == count:
                    yield file, before, chunk
                elif first < last:
                    kept = chunk.split(b"\n")[first:last]
                    yield file, before + first, b"\n".join([*kept, b""])
                number, before = number + count, before + count


def find_splits(data: Path) -> tuple[dict[str, Source], str]:
    """Where each split's text is, and a sentence that says how it was found.

    Raises CorpusError when there is no text, or a part of a split without the rest.
    """
    if not data.is_dir():
        raise CorpusError(f"--data {data}: not a folder")
    found = {split: _files_of(data, split) for split in SPLITS}
    missing = [split for split in SPLITS if not found[split]]
    if not missing:
        return {split: Source(found[split]) for split in SPLITS}, f"splits as {data} has them"
    if len(missing) < len(SPLITS):
        raise CorpusError(
            f"--data {data}: there is no {' and no '.join(missing)}; give all of train, "
            "valid and test (.txt, .txt.gz or a folder of them), or text without any split"
        )
    files = tuple(sorted(p for p in data.rglob("*") if p.name.endswith(SUFFIXES) and p.is_file()))
    if not files:
        raise CorpusError(f"--data {data}: no .txt or .txt.gz file in it")
    count = Source(files).content.lines
    held_out = math.ceil(count * 0.05)
    valid, test = count - 2 * held_out, count - held_out
    if valid <= 0:
        raise CorpusError(f"--data {data}: {count} lines are too few to hold out 5 % + 5 %")
    note = (
        f"{data} has no split: of its {count:,} lines the last {held_out:,} are held out for "
        f"testing and the {held_out:,} before them for validation"
    )
    return {
        "train": Source(files, 0, valid),
        "valid": Source(files, valid, test),
        "test": Source(files, test, None),
    }, note


def new_hasher() -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=16)


def cut(line: str) -> Iterator[str]:
    """A long line in parts of at least LONG_LINE characters that tokenize as the whole does.

    Each part but the first begins with a single space between two words, where every tokenizer
    that knows words or pieces of them parts its input anyway: `a b c` gives `a b`, ` c`. A line
    without such a place stays whole.
    """
    begin = 0
    while place := BETWEEN_WORDS.search(line, begin + LONG_LINE):
        yield line[begin : place.start()]
        begin = place.start()
    yield line[begin:]


def _decode(file: Path, before: int, chunk: bytes) -> list[str]:
    if b"\x00" in chunk:
        number = before + chunk.count(b"\n", 0, chunk.index(b"\x00")) + 1
        raise CorpusError(f"{file}, line {number}: a NUL byte; this is not text")
    try:
        return chunk.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        number = before + chunk.count(b"\n", 0, error.start) + 1
        raise CorpusError(f"{file}, line {number}: not UTF-8 text ({error.reason})") from None


def _read(file: Path) -> Iterator[bytes]:
    """Whole lines, about CHUNK_BYTES at a time, each with a newline alone at its end."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            mark = codecs.BOM_UTF8
            while chunk := stream.read(CHUNK_BYTES).removeprefix(mark):
                chunk += stream.readline()
                chunk = chunk if chunk.endswith(b"\n") else chunk + b"\n"
                yield chunk.replace(b"\r\n", b"\n")
                mark = b""
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"cannot read {file}: {error}") from None


def _files_of(data: Path, split: str) -> tuple[Path, ...]:
    for suffix in SUFFIXES:
        if (data / (split + suffix)).is_file():
            return (data / (split + suffix),)
    folder = data / split
    if folder.is_dir():
        return tuple(sorted(p for p in folder.rglob("*") if p.name.endswith(SUFFIXES)))
    return ()
