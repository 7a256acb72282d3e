"""JSON parser for requests: small texts at once, large ones in parts.

Python's parser holds the interpreter lock, so one call for a large text would block the event loop.
All values are those of Python's parser.
"""

import json
import re
from typing import Any

import numpy as np

from service.errors import InputTooLong
from service.http.body.json_structure import Structure, find_structure

# Parsed by one call, in about 3 ms.
PART_BYTES = 64 << 10
# This many values are parsed in a few milliseconds, however long their strings are.
FEW_VALUES = 20_000
# The time to parse a number grows with the square of its digits.
LONG_NUMBER = re.compile(rb"[0-9]{300}")
MAX_DEPTH = 500  # Python's parser raises RecursionError at about 1,000
KEY = re.compile(rb'\s*("[^"\\]*(?:\\.[^"\\]*)*")\s*:', re.DOTALL)


def is_quick(content: bytes) -> bool:
    """Return whether parsing takes no more than a few milliseconds."""
    if len(content) <= PART_BYTES:
        return True
    few = sum(content.count(mark) for mark in (b",", b"[", b"{")) <= FEW_VALUES
    return few and LONG_NUMBER.search(content) is None


def parse(content: bytes, max_values: int) -> Any:
    """Return the value of a JSON text in UTF-8.

    Raise JSONDecodeError; RecursionError if it is nested too deeply; ValueError for a number of
    thousands of digits; InputTooLong above `max_values` values, before any of them is built.
    """
    if is_quick(content):
        return json.loads(content)
    index = find_structure(content)
    values = len(index.positions)
    if values > 2 * max_values or _count_values(content, index) > max_values:
        raise InputTooLong(
            f"too many values in the body (at most {max_values})",
            _largest_field(content, index),
        )
    if index.depths.max(initial=0) > MAX_DEPTH:
        raise RecursionError
    return _PartParser(content, index).parse_span(0, len(content))


class _PartParser:
    """Parses a text part by part. Python's parser reads every byte of it."""

    def __init__(self, content: bytes, index: Structure) -> None:
        self._content = content
        self._positions = index.positions
        self._depths = index.depths

    def parse_span(self, begin: int, end: int) -> Any:
        """Return the one value in a span of the text."""
        if end - begin <= PART_BYTES:
            return self._load(begin, end)
        first, last = np.searchsorted(self._positions, [begin, end])
        opening, closing = self._outermost(first, last - 1, begin, end)
        if not opening:  # a long string, or an error that Python finds
            return self._load(begin, end)
        depth = self._depths[first]
        commas = self._positions[first + 1 : last - 1][self._depths[first + 1 : last - 1] == depth]
        starts = np.concatenate([self._positions[first : first + 1], commas]) + 1
        ends = np.append(commas, self._positions[last - 1])
        built: Any = [] if opening == b"[" else {}
        at = 0
        while at < len(starts):
            after = int(np.searchsorted(ends, starts[at] + PART_BYTES, "right"))
            if after <= at:
                self._add_large_entry(built, int(starts[at]), int(ends[at]))
                at += 1
                continue
            part = self._load(int(starts[at]), int(ends[after - 1]), opening, closing)
            if not part and len(starts) > 1:  # a comma with nothing before or after it
                raise self._error("Expecting value", int(starts[at]))
            built.extend(part) if opening == b"[" else built.update(part)
            at = after
        return built

    def _outermost(self, first: int, last: int, begin: int, end: int) -> tuple[bytes, bytes]:
        """Return the brackets that enclose a whole span, or two empty strings."""
        if last <= first or self._depths[first] != self._depths[last]:
            return b"", b""
        opened, closed = int(self._positions[first]), int(self._positions[last])
        pair = self._content[opened : opened + 1] + self._content[closed : closed + 1]
        around = self._content[begin:opened] + self._content[closed + 1 : end]
        inner = self._depths[first + 1 : last]
        if pair not in (b"[]", b"{}") or around.strip(b" \t\r\n"):
            return b"", b""
        if (inner < self._depths[first]).any():  # the container closes, and another one opens
            return b"", b""
        return pair[:1], pair[1:]

    def _add_large_entry(self, built: Any, begin: int, end: int) -> None:
        """Add an entry above PART_BYTES to a list, or to an object with its key."""
        if isinstance(built, list):
            built.append(self.parse_span(begin, end))
            return
        key = KEY.match(self._content, begin, end)
        if key is None:
            raise self._error("Expecting property name enclosed in double quotes", begin)
        built[self._load(key.start(1), key.end(1))] = self.parse_span(key.end(), end)

    def _load(self, begin: int, end: int, opening: bytes = b"", closing: bytes = b"") -> Any:
        try:
            part = opening + self._content[begin:end] + closing
            # From bytes the parser strips a byte order mark, which only a whole text may have.
            return json.loads(part.decode() if begin else part)
        except json.JSONDecodeError as error:
            raise self._error(error.msg, begin, error.pos - len(opening)) from None

    def _error(self, message: str, begin: int, more: int = 0) -> json.JSONDecodeError:
        """Return an error whose position is in characters of the whole text."""
        position = len(self._content[:begin].decode()) + more
        error = json.JSONDecodeError(message, "", 0)
        error.pos = position
        return error


def _count_values(content: bytes, index: Structure) -> int:
    """Return the approximate number of values, from the opening brackets and commas."""
    marks = np.frombuffer(content, np.uint8)[index.positions]
    return int(np.isin(marks, list(b",[{")).sum())


def _largest_field(content: bytes, index: Structure) -> str | None:
    """Return the name of the top-level field with the most values, or None."""
    if not content.lstrip().startswith(b"{"):
        return None
    commas = index.positions[(index.depths == 1)][1:]
    bounds = np.concatenate([index.positions[:1], commas])
    inside = np.diff(np.searchsorted(index.positions, np.append(bounds, len(content))))
    begin = int(bounds[int(inside.argmax())]) + 1
    key = KEY.match(content, begin)
    try:
        return str(json.loads(key[1])) if key else None
    except ValueError:
        return None
