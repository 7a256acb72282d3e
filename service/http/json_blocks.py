"""JSON arrays serialised block by block.

orjson holds the interpreter lock while it serialises, so that one long call in the background
thread would stop the event loop. Between two blocks the event loop gets its turn.

orjson writes NaN and infinity as null, and a float so that parsing it gives the same double.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import orjson

T = TypeVar("T")

# Tokens that are serialised at once, about 3 ms. A response of no more is built on the event loop.
BLOCK_TOKENS = 2000


def to_array(blocks: Iterable[Iterable[Any]]) -> list[orjson.Fragment]:
    """Return one array of the entries of all blocks. No block may be empty.

    Each fragment holds the entries of one block and the commas between them.
    """
    return [orjson.Fragment(orjson.dumps(block)[1:-1]) for block in blocks]


def blocks_of(rows: Iterable[T], alternatives: int) -> Iterator[list[T]]:
    """Yield rows in blocks, fewer in a block if each row holds several `alternatives`."""
    remaining = iter(rows)
    while block := list(islice(remaining, max(1, BLOCK_TOKENS // (1 + alternatives)))):
        yield block
