"""What reading hands to scoring: records, and blocks of them that are committed together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from service.bulk.input.ids import Id

# A block closes at whichever comes first. It is the unit of a commit, so that its bounds must
# follow from the input alone; at 20,000 tokens/s it is about two seconds of work.
BLOCK_RECORDS = 1024
BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Position:
    """Where reading goes on: the index of an input, the offset in it (bytes after decompression,
    or rows), and how many lines or rows came before, of this input and of all.
    """

    source: int = 0
    offset: int = 0
    line: int = 0
    records: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a record cannot be scored; `kind` is what they are counted by."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document, or the problem with it. `line` and `number` count from 1, in its input and over
    all inputs; `size` is that of its line in bytes; `end` is where the next one begins.
    """

    source: str
    line: int
    number: int
    text: str
    id: Id
    problem: Problem | None
    size: int
    end: Position
    unit: Literal["line", "row", ""] = "line"  # what `line` counts; "": the input is one document

    @property
    def place(self) -> str:
        """Where the document is, for people: `a.txt, line 3`, `a.parquet, row 3`, `a.txt`."""
        return f"{self.source}, {self.unit} {self.line}" if self.unit else self.source


@dataclass(frozen=True, slots=True)
class Block:
    records: list[Document]

    @property
    def end(self) -> Position:
        return self.records[-1].end


def blocks(records: Iterable[Document]) -> Iterator[Block]:
    """Cut into blocks; beginning at the end of any block gives the same blocks from there on."""
    collected: list[Document] = []
    size = 0
    for record in records:
        collected.append(record)
        size += record.size
        if len(collected) == BLOCK_RECORDS or size >= BLOCK_BYTES:
            yield Block(collected)
            collected, size = [], 0
    if collected:
        yield Block(collected)
