"""Positions of the brackets and commas of a JSON text, found without building any value.

Eight megabytes of the smallest values become gigabytes of objects, and Python's parser holds the
interpreter lock until all are built. This index takes a tenth of the time, lets other threads run,
and counts the values before any is built.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 1 << 20
QUOTE, BACKSLASH = ord('"'), ord("\\")
DELTA = np.zeros(256, np.int8)
DELTA[list(b"[{")] = 1
DELTA[list(b"]}")] = -1
STRUCTURAL = DELTA != 0
STRUCTURAL[ord(",")] = True

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Structure:
    """The brackets and commas outside strings: their ascending positions (n,) in bytes, and the
    depth (n,) of the container that each belongs to, 1 for the outermost.
    """

    positions: Positions
    depths: NDArray[np.int32]


def find_structure(text: bytes) -> Structure:
    """Index any bytes. Only the parser finds out whether they are JSON."""
    data = np.frombuffer(text, np.uint8)
    positions, depths = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    in_string, escaped, depth = False, False, 0
    for start in range(0, len(data), BLOCK_BYTES):
        block = data[start : start + BLOCK_BYTES]
        quotes, escaped = _quotes(block, escaped)
        found = np.flatnonzero(STRUCTURAL[block])
        inside = (np.searchsorted(quotes, found) + in_string) % 2 == 1
        in_string = (len(quotes) + in_string) % 2 == 1
        found = found[~inside]
        deltas = DELTA[block[found]]
        after = depth + np.cumsum(deltas, dtype=np.int32)
        positions.append(found + start)
        depths.append((after + (deltas < 0)).astype(np.int32))
        depth = int(after[-1]) if len(after) else depth
    return Structure(np.concatenate(positions), np.concatenate(depths))


def _quotes(block: NDArray[np.uint8], escaped: bool) -> tuple[Positions, bool]:
    """Return the positions of quotes that begin or end a string, and whether the last byte of the
    block escapes the first byte of the next one. With `escaped`, the first byte of this one is.
    """
    quotes = np.flatnonzero(block == QUOTE)
    slashes = np.flatnonzero(block == BACKSLASH)
    if not len(slashes):
        return (quotes[quotes > 0] if escaped else quotes), False
    # In a sequence of backslashes, each second one is escaped by the one before it.
    starts = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
    lengths = np.diff(starts, append=len(slashes))
    offsets = np.arange(len(slashes)) - np.repeat(starts, lengths)
    if escaped and slashes[0] == 0:
        offsets[: lengths[0]] += 1
    escaped_at = slashes[offsets % 2 == 0] + 1
    if escaped:
        escaped_at = np.append(escaped_at, 0)
    last = bool((escaped_at == len(block)).any())
    return quotes[~np.isin(quotes, escaped_at)], last
