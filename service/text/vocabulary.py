"""The vocabulary: entries ⇄ ids, the text of an entry, and the entries with a prefix.

A byte-level vocabulary writes each byte as one printable character, by GPT-2's table:

    entry       Ġthe        Ã©         Ġæ                 <eos>
    spelling    " the"      "é"        20 e6, no text     itself, a newline in a text
    name        " the"      "é"        bytes:\\x20\\xe6    <eos>
    surface     " the"      "é"        bytes:\\x20\\xe6    a newline

In all other vocabularies an entry is its own spelling and name. No two ids share a spelling.
"""

import json
from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np

from service.arrays import Ids
from service.errors import BundleError


class Vocabulary:
    """The entries of a tokenizer, by id.

    `entries` are as in `tokenizer.json`, `spellings` their bytes in a text, `names` unique texts,
    and `surfaces` the names with a newline for `<eos>`.
    """

    def __init__(self, ids: dict[str, int], end_id: int, *, byte_level: bool) -> None:
        """`ids` maps entries to ids. Raises BundleError if these are not 0, 1, 2 …"""
        ranked = sorted(ids.items(), key=lambda entry: entry[1])
        if [index for _, index in ranked] != list(range(len(ranked))):
            raise BundleError("tokenizer.json: its ids are not 0, 1, 2 …; export the bundle again")
        self.entries = [entry for entry, _ in ranked]
        spellings = [
            _spelling(entry) if byte_level and index != end_id else entry.encode()
            for index, entry in enumerate(self.entries)
        ]
        self.spellings = spellings
        self.names = [_name(spelling) for spelling in spellings] if byte_level else self.entries
        self.surfaces = [*self.names]
        self.surfaces[end_id] = "\n"
        self.byte_level = byte_level
        self._ids = ids
        self._by_spelling = {spelling: index for index, spelling in enumerate(spellings)}
        self._sorted = _SortedSpellings(spellings)
        self._without_space = _SortedSpellings(
            [spelling.removeprefix(b" ") for spelling in spellings]
        )

    def find(self, word: str) -> int | None:
        """Return the id whose spelling is `word`, otherwise the id whose entry it is, or None.

        A single character always means itself: in a byte-level vocabulary the entry `é` is the byte
        e9, not the character.
        """
        found = self._by_spelling.get(word.encode())
        return self._ids.get(word) if found is None and len(word) > 1 else found

    def with_prefix(self, prefix: str) -> Ids:
        """Return the ids of all entries whose spelling starts with `prefix`, with or without a
        space before it: `th` finds ` the` too. ` th` finds only entries that start with a space.
        """
        spellings = self._sorted if prefix.startswith(" ") else self._without_space
        return spellings.starting_with(prefix.encode())


class _SortedSpellings:
    """Spellings in order, for searches by prefix."""

    def __init__(self, spellings: list[bytes]) -> None:
        order = sorted(range(len(spellings)), key=spellings.__getitem__)
        self._spellings = [spellings[index] for index in order]
        self._ids = np.array(order, np.int64)

    def starting_with(self, prefix: bytes) -> Ids:
        low = bisect_left(self._spellings, prefix)
        # ff is the last byte and no part of UTF-8; only the entry of that byte alone contains it.
        high = bisect_right(self._spellings, prefix + b"\xff")
        return self._ids[low:high]


def is_byte_level(serialized: bytes) -> bool:
    """Return whether the entries of a `tokenizer.json` write bytes."""
    decoder: Any = json.loads(serialized).get("decoder") or {}
    return any(one.get("type") == "ByteLevel" for one in [decoder, *decoder.get("decoders", [])])


def _gpt2_bytes() -> dict[str, int]:
    """Return GPT-2's table of characters and their bytes.

    Printable characters of Latin-1 are themselves; U+0100 and following are all other bytes.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    shifted = {chr(0x100 + position): byte for position, byte in enumerate(others)}
    return {chr(byte): byte for byte in printable} | shifted


BYTE_OF = _gpt2_bytes()


def _spelling(entry: str) -> bytes:
    if all(character in BYTE_OF for character in entry):
        return bytes(BYTE_OF[character] for character in entry)
    return entry.encode()


def _name(spelling: bytes) -> str:
    try:
        return spelling.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelling)
