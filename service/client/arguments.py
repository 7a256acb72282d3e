"""Arguments of calls, checked for what Python takes silently: a `str` is a list of letters.

Each function returns its argument as JSON can write it, and raises TypeError, which names the
argument and what to give. A list is any iterable that has an order, so also an array, a column of a
table or a generator. An argument that may be left out is None then.
"""

from collections.abc import Iterable, Mapping
from operator import index
from typing import Any

NO_LISTS = (str, bytes, bytearray, memoryview, Mapping, set, frozenset)
WORDS = "a dict of words and probabilities"


def text(name: str, value: Any, several: str | None = None) -> str | None:
    """`several` names the argument for a list of texts."""
    if value is None or isinstance(value, str):
        return value
    listed = several is not None and isinstance(value, Iterable) and not isinstance(value, NO_LISTS)
    expected = f"a str, or several as {several}=[…]" if listed else "a str"
    raise _wrong(name, value, expected)


def texts(name: str, value: Any) -> list[str] | None:
    if value is None:
        return None
    given = items(name, value, "a list of str")
    for position, one in enumerate(given):
        if not isinstance(one, str):
            raise _wrong(f"{name}[{position}]", one, "a str")
    return given


def ids(name: str, value: Any) -> list[int] | None:
    return None if value is None else _ids(name, value)


def id_lists(name: str, value: Any) -> list[list[int]] | None:
    if value is None:
        return None
    given = items(name, value, "a list of lists of ids")
    return [_ids(f"{name}[{position}]", one) for position, one in enumerate(given)]


def _ids(name: str, value: Any) -> list[int]:
    made: list[int] = []
    given = items(name, value, "a list of ids")
    try:
        made += map(index, given)
    except TypeError:
        at = len(made)
        raise _wrong(f"{name}[{at}]", given[at], "an int") from None
    return made


def mapping(name: str, value: Any, expected: str) -> dict[Any, Any] | None:
    return None if value is None else fields_of(name, value, expected)


def fields_of(name: str, value: Any, expected: str) -> dict[Any, Any]:
    """A mapping that must be given."""
    if not isinstance(value, Mapping):
        raise _wrong(name, value, expected)
    return dict(value)


def distributions(name: str, value: Any) -> list[list[dict[Any, Any]]] | None:
    """For each text a list, and in it for each position a mapping of words to probabilities."""
    if value is None:
        return None
    listed = enumerate(items(name, value, "a list of distributions for each text"))
    rows = [(f"{name}[{at}]", items(f"{name}[{at}]", one, "a list of dicts")) for at, one in listed]
    return [
        [fields_of(f"{place}[{at}]", one, WORDS) for at, one in enumerate(row)]
        for place, row in rows
    ]


def items(name: str, value: Any, expected: str) -> list[Any]:
    """A list that must be given, of anything; `expected` says of what."""
    if isinstance(value, NO_LISTS) or not isinstance(value, Iterable):
        raise _wrong(name, value, expected)
    try:
        iterator = iter(value)
    except TypeError:  # an array without dimensions
        raise _wrong(name, value, expected) from None
    return list(iterator)


def _wrong(name: str, value: Any, expected: str) -> TypeError:
    kind = "None" if value is None else type(value).__name__
    article = "" if value is None else "an " if kind[0].lower() in "aeiou" else "a "
    return TypeError(f"{name} is {article}{kind}: give {expected}")
