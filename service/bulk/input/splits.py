"""Splits of inputs, which workers score one by one: whole lines, or whole row groups."""

from dataclasses import dataclass
from pathlib import Path

from service.bulk.document import Position
from service.bulk.input import parquet
from service.bulk.input.readers import kind_of
from service.bulk.input.text_parser import Source
from service.files import compression

SPLIT_BYTES = 16 << 20
READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Split:
    """A part of one input, from `begin` to the offset `end`, or to the input's end."""

    index: int
    begin: Position
    end: int | None


def split_inputs(paths: list[Path], source: Source, size: int = SPLIT_BYTES) -> list[Split]:
    """Return splits of about `size` bytes. A compressed input is one split."""
    splits: list[Split] = []
    for number, path in enumerate(paths):
        kind = source.kind or kind_of(path)
        if kind == "parquet":
            bounds = _row_group_bounds(path, size)
        elif kind == "file" or compression.is_compressed(path):
            bounds = [(0, 0)]
        else:
            bounds = _line_bounds(path, size)
        ends = [*(offset for offset, _ in bounds[1:]), None]
        for (offset, line), end in zip(bounds, ends, strict=True):
            splits.append(Split(len(splits), Position(number, offset, line), end))
    return splits


def _line_bounds(path: Path, size: int) -> list[tuple[int, int]]:
    """Return the offset of each split's first line, and the number of lines before it."""
    bounds = [(0, 0)]
    offset = lines = 0
    with path.open("rb") as file:
        while content := file.read(READ_BYTES):
            if offset - bounds[-1][0] >= size and (newline := content.find(b"\n")) >= 0:
                bounds.append((offset + newline + 1, lines + 1))
            offset += len(content)
            lines += content.count(b"\n")
    return bounds


def _row_group_bounds(path: Path, size: int) -> list[tuple[int, int]]:
    """Return the first row of each split, twice: as its offset and as its line."""
    counts = parquet.row_group_sizes(path)
    rows_per_split = max(1, sum(counts) * size // max(1, path.stat().st_size))
    bounds, row = [(0, 0)], 0
    for count in counts:
        if row - bounds[-1][0] >= rows_per_split:
            bounds.append((row, row))
        row += count
    return bounds
