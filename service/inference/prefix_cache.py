"""States of contexts read lately, so that a context which begins the same starts where those ended.

An entry is a run of ids from the start of a text and the state after it. A look-up finds the
longest entry that the ids begin with and compares every id, so that it can never change a figure.
The least recently used entries go when the bytes are spent. Thread-safe.
"""

import threading
from collections import Counter, OrderedDict

import numpy as np
from numpy.typing import NDArray

from service.arrays import Floats, Ids

Key = tuple[int, int]  # number of ids, and their hash

MULTIPLIER = 6364136223846793005  # of Knuth's MMIX generator; odd, so that powers stay units


class PrefixCache:
    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[Key, tuple[Ids, Floats]] = OrderedDict()
        self._lengths: Counter[int] = Counter()
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        return self._bytes

    def find(self, ids: Ids) -> tuple[int, Floats] | None:
        """The longest known beginning of ids (n,): how many of them, and the state (S,) after."""
        if not self._entries:
            return None
        hashes = prefix_hashes(ids)
        with self._lock:
            lengths = sorted((n for n in self._lengths if n <= len(ids)), reverse=True)
            for length in lengths:
                key = (length, int(hashes[length - 1]))
                entry = self._entries.get(key)
                if entry is not None and np.array_equal(entry[0], ids[:length]):
                    self._entries.move_to_end(key)
                    return length, entry[1]
        return None

    def add(self, ids: Ids, state: Floats) -> None:
        """Keep the state (S,) after ids (n,), n ≥ 1."""
        key = (len(ids), int(prefix_hashes(ids)[-1]))
        entry = (ids.copy(), state.copy())
        size = _size(entry)
        if size > self._max_bytes:
            return
        with self._lock:
            self._drop(key)
            self._entries[key] = entry
            self._lengths[key[0]] += 1
            self._bytes += size
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._entries)))

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._bytes -= _size(entry)
        self._lengths[key[0]] -= 1
        if not self._lengths[key[0]]:
            del self._lengths[key[0]]


def prefix_hashes(ids: Ids) -> NDArray[np.uint64]:
    """A polynomial hash modulo 2⁶⁴ of every beginning of ids (n,), shortest first."""
    powers = np.full(len(ids), MULTIPLIER, np.uint64)
    powers = np.multiply.accumulate(powers)
    return np.add.accumulate((ids.astype(np.uint64) + np.uint64(1)) * powers)


def _size(entry: tuple[Ids, Floats]) -> int:
    """Of the arrays, and about 500 bytes of Python objects around them."""
    return entry[0].nbytes + entry[1].nbytes + 500
