"""The division of a text without splits: 5 % for testing, 5 % for validation, 90 % for training.

The held-out parts are the last lines, or documents chosen at random. Random documents give each
split a part of all subjects, and no document is in two splits.
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from train.config import DataConfig
from train.data.source import Source
from train.errors import CorpusError

HELD_OUT = 0.05
MIN_DOCUMENTS = 20  # 5 % of them is one document
Mask = NDArray[np.bool_]
Lines = NDArray[np.int64]
DOCUMENTS = {"file": "files", "paragraph": "blocks of lines between blank ones", "line": "lines"}
Splits = tuple[dict[str, Source], str]


def hold_out(data: Path, files: tuple[Path, ...], config: DataConfig) -> Splits:
    """Return the splits, and a sentence about how they were made.

    Raises CorpusError if the text is too short.
    """
    if config.split == "random":
        return _at_random(data, files, config)
    return _at_the_end(data, files)


def _at_the_end(data: Path, files: tuple[Path, ...]) -> Splits:
    lines = Source(files).content.lines
    held_out = math.ceil(lines * HELD_OUT)
    valid, test = lines - 2 * held_out, lines - held_out
    unit = "lines"
    if valid > 0 and not _have_words(files, valid, test):
        written = np.flatnonzero(_scan(files)[0])  # the lines that are not blank
        lines, unit = len(written), "lines that are not blank"
        held_out = math.ceil(lines * HELD_OUT)
        valid = int(written[-2 * held_out]) if lines > 2 * held_out else 0
        test = int(written[-held_out]) if lines else 0
    if valid <= 0:
        raise CorpusError(
            f"--data {data}: {lines} {unit} are too few to hold out 5 % + 5 %; at least three "
            "are needed"
        )
    note = (
        f"{data} has no split: of its {lines:,} {unit} the last {held_out:,} are held out for "
        f"testing and the {held_out:,} before them for validation"
    )
    return {
        "train": Source(files, 0, valid),
        "valid": Source(files, valid, test),
        "test": Source(files, test, None),
    }, note


def _have_words(files: tuple[Path, ...], valid: int, test: int) -> bool:
    """Return whether both parts at the end have a line that is not blank."""
    return all(
        any(not is_blank(line) for line in Source(files, start, stop).lines())
        for start, stop in ((valid, test), (test, None))
    )


def _at_random(data: Path, files: tuple[Path, ...], config: DataConfig) -> Splits:
    written, first_of_file = _scan(files)
    kind, starts = _documents(written, first_of_file, config)
    count = len(starts)
    if count < 3:
        raise CorpusError(
            f"--data {data}: {count} documents ({DOCUMENTS[kind]}) are too few to hold out "
            '5 % + 5 % at random; data.document = "line" makes a document of each line'
        )
    # RandomState draws the same numbers in all versions of NumPy, so that runs can be resumed.
    order = np.random.RandomState(config.seed).permutation(count)
    sizes = np.add.reduceat(written.astype(np.int64), starts)  # lines that are not blank
    goal = math.ceil(int(sizes.sum()) * HELD_OUT)
    test = _documents_for(sizes[order], goal, count - 2)
    valid = _documents_for(sizes[order[test:]], goal, count - test - 1)
    split_of = np.zeros(count, np.int8)
    split_of[order[:test]] = 2
    split_of[order[test : test + valid]] = 1
    of_line = np.repeat(split_of, np.diff(np.append(starts, len(written))))
    note = (
        f"{data} has no split: of its {count:,} documents ({DOCUMENTS[kind]}) {test:,} are held "
        f"out for testing and {valid:,} for validation, at random with data.seed = {config.seed}"
    )
    names = ("train", "valid", "test")
    return {name: Source(files, kept=of_line == i) for i, name in enumerate(names)}, note


def _documents_for(sizes: Lines, goal: int, most: int) -> int:
    """Return the number of first documents that have `goal` lines together, from 1 to `most`."""
    return min(int(np.searchsorted(np.cumsum(sizes), goal)) + 1, most)


def _documents(written: Mask, first_of_file: Mask, config: DataConfig) -> tuple[str, Lines]:
    """Return the kind of document, and the first line of each document.

    A document begins at a line that is not blank. Blank lines belong to the document before them.
    """
    files = np.flatnonzero(first_of_file)
    file_of = np.cumsum(first_of_file) - 1
    not_blank = np.flatnonzero(written)
    _, firsts = np.unique(file_of[not_blank], return_index=True)
    by_file = not_blank[firsts]  # one line of each file that has words
    after_blank = written & ~np.concatenate([[False], written[:-1]])
    after_blank[files] = written[files]
    found = {"file": by_file, "paragraph": np.flatnonzero(after_blank), "line": not_blank}
    kind = config.document
    if kind == "auto":
        kind = next((k for k in ("file", "paragraph") if len(found[k]) >= MIN_DOCUMENTS), "line")
    starts = found[kind].copy()
    if len(starts):
        starts[0] = 0
    return kind, starts


def _scan(files: tuple[Path, ...]) -> tuple[Mask, Mask]:
    """Return for each line (N,) whether it has words, and whether it is the first of a file."""
    written, first = bytearray(), bytearray()
    for file in files:
        begin = len(written)
        written.extend(not is_blank(line) for line in Source((file,)).lines())
        first.extend(number == 0 for number in range(len(written) - begin))
    return np.frombuffer(written, np.bool_), np.frombuffer(first, np.bool_)


def is_blank(line: str) -> bool:
    return not line or line.isspace()
