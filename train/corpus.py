"""Text → memory-mapped id arrays → batches of parallel streams.

A corpus folder holds `train`, `valid` and `test`, each a `.txt`, a `.txt.gz` or a folder of them.
Every line ends in `<eos>`. Where there is text without a split, the last 5 % of the lines are the
test split and the 5 % before them the validation split.

Training reads a split as B streams side by side, and T tokens of each at a step:

    ids      0 1 2 3 4 5 6 7 8 9 10 11 12 …            one array, in the order of the text

    stream 0 | 0  1  2 |  3  4  5 |                    inputs (T, B) of the first step are
    stream 1 | 6  7  8 |  9 10 11 |                    [[0, 6], [1, 7], [2, 8]]; its targets
               step 1     step 2                       [[1, 7], [2, 8], [3, 9]], one token on

The hidden state of a stream is carried from step to step, so that the model reads the text from
left to right although gradients stop at the left edge of a step.
"""

import gzip
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tqdm import tqdm

from train.atomic import write_file
from train.errors import CorpusError
from train.tokenizer import UNKNOWN, end_id

Ids = NDArray[np.int32]
SPLITS = ("train", "valid", "test")
SUFFIXES = (".txt", ".txt.gz")
LINES_AT_A_TIME = 4096


@dataclass(frozen=True)
class Source:
    """The lines `start` to `stop` of some files read one after another."""

    files: tuple[Path, ...]
    start: int = 0
    stop: int | None = None

    def lines(self) -> Iterator[str]:
        """Lines without their ends. Raises CorpusError for what is not text."""
        number = 0
        for file in self.files:
            for line in _read_lines(file):
                if self.stop is not None and number >= self.stop:
                    return
                if number >= self.start:
                    yield line
                number += 1


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
    count = sum(1 for _ in Source(files).lines())
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


@dataclass(frozen=True)
class Split:
    """One split as ids, `<eos>` after every line. `characters` and `bytes` are the lines' text."""

    ids: Ids
    lines: int
    unknown: int
    characters: int
    bytes: int

    def counts(self) -> dict[str, int]:
        return {"tokens": len(self.ids), **{k: v for k, v in asdict(self).items() if k != "ids"}}


def tokenize(source: Source, tokenizer: Tokenizer, path: Path, name: str) -> Split:
    """Write `path` (int32, memory-mapped when read) and its counts beside it; reuse both if there.

    Raises CorpusError when the split holds no word.
    """
    counts_path = path.with_suffix(".json")
    if not counts_path.exists():
        try:
            counted = _write_ids(source, tokenizer, path, name)
        finally:
            path.with_suffix(".partial").unlink(missing_ok=True)
        write_file(counts_path, json.dumps(counted).encode())
    counts: dict[str, Any] = json.loads(counts_path.read_text())
    if counts["tokens"] == counts["lines"]:
        raise CorpusError(f"the {name} split ({source.files[0]}) holds no words")
    del counts["tokens"]
    return Split(np.memmap(path, np.int32, mode="r"), **counts)


def _write_ids(source: Source, tokenizer: Tokenizer, path: Path, name: str) -> dict[str, int]:
    end = end_id(tokenizer)
    unk = tokenizer.token_to_id(UNKNOWN)
    tokens = lines = unknown = characters = size = 0
    partial = path.with_suffix(".partial")
    with (
        partial.open("wb") as file,
        tqdm(desc=f"tokenizing {name}", unit=" tokens", unit_scale=True) as bar,
    ):
        for block in _blocks(source.lines()):
            ids: list[int] = []
            for line, encoding in zip(block, tokenizer.encode_batch(block), strict=True):
                ids += [*encoding.ids, end]
                characters += len(line)
                size += len(line.encode())
            array = np.array(ids, np.int32)
            file.write(array.tobytes())
            tokens, lines = tokens + len(array), lines + len(block)
            unknown += int((array == unk).sum())
            bar.update(len(array))
    partial.replace(path)
    return {
        "tokens": tokens,
        "lines": lines,
        "unknown": unknown,
        "characters": characters,
        "bytes": size,
    }


def _blocks(lines: Iterator[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == LINES_AT_A_TIME:
            yield block
            block = []
    if block:
        yield block


def _files_of(data: Path, split: str) -> tuple[Path, ...]:
    for suffix in SUFFIXES:
        if (data / (split + suffix)).is_file():
            return (data / (split + suffix),)
    folder = data / split
    if folder.is_dir():
        return tuple(sorted(p for p in folder.rglob("*") if p.name.endswith(SUFFIXES)))
    return ()


def _read_lines(file: Path) -> Iterator[str]:
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if b"\x00" in line:
                    raise CorpusError(f"{file}, line {number}: a NUL byte; this is not text")
                yield line.rstrip(b"\n").decode()
    except UnicodeDecodeError as error:
        raise CorpusError(f"{file}, line {number}: not UTF-8 text ({error.reason})") from None
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"cannot read {file}: {error}") from None
