"""Documents as readers yield them, and the blocks of documents that are committed together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from service.bulk.input.json_line import Id

# A block closes at whichever bound is reached first. It is the unit of a commit, so its bounds
# follow from the input alone; at 20,000 tokens/s a block is about two seconds of work.
BLOCK_DOCUMENTS = 1024
BLOCK_BYTES = 1 << 18

Unit = Literal["line", "row", ""]


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the inputs at which reading can start.

    `source` is the index of an input and `offset` the offset in it: in bytes after decompression,
    or in rows. `line` and `documents` count the lines or rows before it, in this input and in all.
    """

    source: int = 0
    offset: int = 0
    line: int = 0
    documents: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """The reason why a document is not scored; `kind` is the key of its count in the summary."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """A document, or the problem with it.

    `line` and `number` count from 1, in its input and over all inputs. `size` is the size of its
    line in bytes, `end` the position after it, and `unit` the thing that `line` counts; "" means
    that the whole input is one document.
    """

    source: str
    line: int
    number: int
    text: str
    id: Id
    problem: Problem | None
    size: int
    end: Position
    unit: Unit = "line"

    @property
    def place(self) -> str:
        """The place in a message: `a.txt, line 3`, `a.parquet, row 3` or `a.txt`."""
        return f"{self.source}, {self.unit} {self.line}" if self.unit else self.source

    @property
    def problem_message(self) -> str:
        """The problem with its place: `a.txt, line 3: the document is empty`."""
        assert self.problem is not None
        return f"{self.place}: {self.problem.message}"


@dataclass(frozen=True, slots=True)
class Block:
    """Documents that are scored and committed together."""

    documents: list[Document]

    @property
    def end(self) -> Position:
        return self.documents[-1].end

    @property
    def problems(self) -> list[Document]:
        """The documents that cannot be scored."""
        return [document for document in self.documents if document.problem is not None]


def blocks(documents: Iterable[Document]) -> Iterator[Block]:
    """Yield the documents in blocks.

    If the documents start at the end of a block, the blocks are the same from there on.
    """
    collected: list[Document] = []
    size = 0
    for document in documents:
        collected.append(document)
        size += document.size
        if is_full(len(collected), size):
            yield Block(collected)
            collected, size = [], 0
    if collected:
        yield Block(collected)


def is_full(documents: int, size: int) -> bool:
    """Return whether a block of this many documents and bytes is complete."""
    return documents == BLOCK_DOCUMENTS or size >= BLOCK_BYTES
