"""Where the brackets and commas of a JSON text stand, found without building any value.

Eight megabytes of the smallest values become gigabytes of objects, and Python's parser keeps the
interpreter lock until it has them all. This index takes a tenth of the time, lets other threads
run, and says how much there is before anything is built.
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

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Structure:
    """Places (n,) in bytes, in order, of brackets and commas outside strings; and the depth (n,) of
    the container that each belongs to, 1 for the outermost.
    """

    places: Places
    depths: NDArray[np.int32]


def structure(text: bytes) -> Structure:
    """Index any bytes; whether they are JSON is for the parser to say."""
    data = np.frombuffer(text, np.uint8)
    places, depths = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    in_string, escaped, depth = False, False, 0
    for begin in range(0, len(data), BLOCK_BYTES):
        block = data[begin : begin + BLOCK_BYTES]
        quotes, escaped = _quotes(block, escaped)
        found = np.flatnonzero(STRUCTURAL[block])
        inside = (np.searchsorted(quotes, found) + in_string) % 2 == 1
        in_string = (len(quotes) + in_string) % 2 == 1
        found = found[~inside]
        deltas = DELTA[block[found]]
        after = depth + np.cumsum(deltas, dtype=np.int32)
        places.append(found + begin)
        depths.append((after + (deltas < 0)).astype(np.int32))
        depth = int(after[-1]) if len(after) else depth
    return Structure(np.concatenate(places), np.concatenate(depths))


def _quotes(block: NDArray[np.uint8], escaped: bool) -> tuple[Places, bool]:
    """Return where a block's quotes begin or end a string, and whether its last byte escapes the
    next block's first one. `escaped` says the same of this block's first byte.
    """
    quotes = np.flatnonzero(block == QUOTE)
    slashes = np.flatnonzero(block == BACKSLASH)
    if not len(slashes):
        return (quotes[quotes > 0] if escaped else quotes), False
    # In a run of backslashes each second one is escaped by the one before it.
    begins = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
    lengths = np.diff(begins, append=len(slashes))
    offsets = np.arange(len(slashes)) - np.repeat(begins, lengths)
    if escaped and slashes[0] == 0:
        offsets[: lengths[0]] += 1
    hidden = slashes[offsets % 2 == 0] + 1
    if escaped:
        hidden = np.append(hidden, 0)
    last = bool((hidden == len(block)).any())
    return quotes[~np.isin(quotes, hidden)], last
