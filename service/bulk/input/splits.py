"""Inputs cut into splits that workers score one by one: whole lines, or whole row groups."""

from dataclasses import dataclass
from pathlib import Path

from service.bulk.document import Position
from service.bulk.input import parquet
from service.bulk.input.readers import Source, kind_of
from service.files import compression

SPLIT_BYTES = 16 << 20
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Split:
    """From `begin` to the offset `end`, or the input's end."""

    index: int
    begin: Position
    end: int | None


def splits(paths: list[Path], source: Source, size: int = SPLIT_BYTES) -> list[Split]:
    """Return splits of about `size` bytes, each in one input; a compressed input is one split."""
    found: list[Split] = []
    for number, path in enumerate(paths):
        kind = source.kind or kind_of(path)
        if kind == "parquet":
            bounds = _groups(path, size)
        elif kind == "file" or compression.is_compressed(path):
            bounds = [(0, 0)]
        else:
            bounds = _lines(path, size)
        ends = [*(offset for offset, _ in bounds[1:]), None]
        for (offset, line), end in zip(bounds, ends, strict=True):
            found.append(Split(len(found), Position(number, offset, line), end))
    return found


def _lines(path: Path, size: int) -> list[tuple[int, int]]:
    """Offsets of the splits' first lines, and how many lines are before each."""
    bounds = [(0, 0)]
    offset = lines = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            if offset - bounds[-1][0] >= size and (newline := piece.find(b"\n")) >= 0:
                bounds.append((offset + newline + 1, lines + 1))
            offset += len(piece)
            lines += piece.count(b"\n")
    return bounds


def _groups(path: Path, size: int) -> list[tuple[int, int]]:
    counts = parquet.groups(path)
    rows_of_a_split = max(1, sum(counts) * size // max(1, path.stat().st_size))
    bounds, row = [(0, 0)], 0
    for count in counts:
        if row - bounds[-1][0] >= rows_of_a_split:
            bounds.append((row, row))
        row += count
    return bounds
