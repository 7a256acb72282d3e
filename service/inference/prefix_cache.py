"""A cache of states after recent contexts, so that a context with the same prefix starts there.

An entry holds the ids from the start of a text and the state after them. A look-up finds the
longest entry that is a prefix of the ids. It compares every id, so that the cache never changes a
figure. The least recently used entries are dropped when the cache is full. Thread-safe.
"""

import threading
from collections import Counter, OrderedDict

import numpy as np
from numpy.typing import NDArray

from service.arrays import Floats, Ids

Key = tuple[int, int]  # number of ids, and their hash

MULTIPLIER = 6364136223846793005  # of Knuth's MMIX generator; odd, so that powers stay units
# The Python objects around the two arrays of an entry.
ENTRY_OVERHEAD_BYTES = 500


class PrefixCache:
    def __init__(self, max_bytes: int) -> None:
        """At most `max_bytes` are kept, ids and states together."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[Key, tuple[Ids, Floats]] = OrderedDict()
        self._lengths: Counter[int] = Counter()
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        return self._bytes

    def find(self, ids: Ids) -> tuple[int, Floats] | None:
        """Return the length of the longest cached prefix of ids (n,), and the state (S,) after it.
        Return None if no prefix is cached.
        """
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
        """Keep the state (S,) after ids (n,), n ≥ 1. Both are copied."""
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
    """Return a polynomial hash modulo 2⁶⁴ of every prefix of ids (n,), shortest first: (n,)."""
    powers = np.full(len(ids), MULTIPLIER, np.uint64)
    powers = np.multiply.accumulate(powers)
    return np.add.accumulate((ids.astype(np.uint64) + np.uint64(1)) * powers)


def _size(entry: tuple[Ids, Floats]) -> int:
    return entry[0].nbytes + entry[1].nbytes + ENTRY_OVERHEAD_BYTES
