"""The vocabulary: entries ⇄ ids, what an entry spells, and the words that begin so.

Over bytes, an entry writes each byte as one printable character, in GPT-2's table:

    entry     Ġthe        Ã©         Ġæ                 <eos>
    spells    " the"      "é"        20 e6, no text     itself, in a text a newline
    name      " the"      "é"        bytes:\\x20\\xe6    <eos>
    surface   " the"      "é"        bytes:\\x20\\xe6    a newline

Of all other vocabularies an entry is its own spelling and name. No two ids share one.
"""

import json
from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np

from service.arrays import Ids
from service.errors import BundleError


class Vocabulary:
    def __init__(self, ids: dict[str, int], end_id: int, *, over_bytes: bool) -> None:
        """Raises BundleError where ids have gaps."""
        ranked = sorted(ids.items(), key=lambda entry: entry[1])
        if [index for _, index in ranked] != list(range(len(ranked))):
            raise BundleError("tokenizer.json: its ids are not 0, 1, 2 …")
        self.entries = [entry for entry, _ in ranked]
        spellings = [
            _spelling(entry) if over_bytes and index != end_id else entry.encode()
            for index, entry in enumerate(self.entries)
        ]
        self.spellings = spellings
        self.names = [_name(spelling) for spelling in spellings] if over_bytes else self.entries
        self.surfaces = [*self.names]
        self.surfaces[end_id] = "\n"
        self.over_bytes = over_bytes
        self._ids = ids
        self._by_spelling = {spelling: index for index, spelling in enumerate(spellings)}
        self._sorted = _Sorted(spellings)
        self._without_space = _Sorted([spelling.removeprefix(b" ") for spelling in spellings])

    def find(self, word: str) -> int | None:
        """The id that spells `word`, or else whose entry it is. One character is only ever meant
        as itself: over bytes, the entry `é` is the byte e9.
        """
        found = self._by_spelling.get(word.encode())
        return self._ids.get(word) if found is None and len(word) > 1 else found

    def with_prefix(self, prefix: str) -> Ids:
        """Ids of all entries that spell something that starts with `prefix`. A space before it
        need not be typed: `th` finds ` the` too, and ` th` finds nothing else.
        """
        among = self._sorted if prefix.startswith(" ") else self._without_space
        return among.starting_with(prefix.encode())


class _Sorted:
    def __init__(self, spellings: list[bytes]) -> None:
        order = sorted(range(len(spellings)), key=spellings.__getitem__)
        self._spellings = [spellings[index] for index in order]
        self._ids = np.array(order, np.int64)

    def starting_with(self, prefix: bytes) -> Ids:
        low = bisect_left(self._spellings, prefix)
        # No byte of UTF-8 is ff; alone it is an entry, and the last one.
        high = bisect_right(self._spellings, prefix + b"\xff")
        return self._ids[low:high]


def over_bytes(serialized: bytes) -> bool:
    """Whether the entries of a `tokenizer.json` write bytes."""
    decoder: Any = json.loads(serialized).get("decoder") or {}
    return any(one.get("type") == "ByteLevel" for one in [decoder, *decoder.get("decoders", [])])


def _table() -> dict[str, int]:
    """GPT-2's: printable characters of Latin-1 are themselves, all other bytes follow U+0100."""
    itself = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in itself]
    shifted = {chr(0x100 + position): byte for position, byte in enumerate(others)}
    return {chr(byte): byte for byte in itself} | shifted


BYTE_OF = _table()


def _spelling(entry: str) -> bytes:
    if all(character in BYTE_OF for character in entry):
        return bytes(BYTE_OF[character] for character in entry)
    return entry.encode()


def _name(spelling: bytes) -> str:
    try:
        return spelling.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelling)
