"""Argument checks for mistakes that Python accepts silently: a `str` is also a list of letters.

Each function returns its argument as plain Python data that JSON can encode. It raises TypeError if
the argument has the wrong type; the message names the argument and the type to pass. A list is any
ordered iterable: an array, a data-frame column or a generator. An optional argument may be None.
"""

from collections.abc import Iterable, Mapping
from operator import index
from typing import Any

# Iterables that are a mistake where a list is expected.
NON_LISTS = (str, bytes, bytearray, memoryview, Mapping, set, frozenset)
DISTRIBUTION = "a dict of words and probabilities"


def check_text(name: str, value: Any, plural: str | None = None) -> str | None:
    """Return an optional `str`; `plural` is the name of the argument that takes a list of texts."""
    if value is None or isinstance(value, str):
        return value
    is_list = isinstance(value, Iterable) and not isinstance(value, NON_LISTS)
    expected = f"a str, or a list as {plural}=[…]" if plural is not None and is_list else "a str"
    raise _type_error(name, value, expected)


def check_texts(name: str, value: Any) -> list[str] | None:
    """Return an optional list of `str`."""
    if value is None:
        return None
    texts = check_list(name, value, "a list of str")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise _type_error(f"{name}[{position}]", text, "a str")
    return texts


def check_ids(name: str, value: Any) -> list[int] | None:
    """Return an optional list of token ids."""
    return None if value is None else _required_ids(name, value)


def check_id_lists(name: str, value: Any) -> list[list[int]] | None:
    """Return an optional list of lists of token ids."""
    if value is None:
        return None
    rows = check_list(name, value, "a list of lists of ids")
    return [_required_ids(f"{name}[{position}]", row) for position, row in enumerate(rows)]


def _required_ids(name: str, value: Any) -> list[int]:
    ids: list[int] = []
    values = check_list(name, value, "a list of ids")
    try:
        ids += map(index, values)
    except TypeError:
        position = len(ids)
        raise _type_error(f"{name}[{position}]", values[position], "an int") from None
    return ids


def check_mapping(name: str, value: Any, expected: str) -> dict[Any, Any] | None:
    """Return an optional mapping as a dict; `expected` describes it in the error message."""
    return None if value is None else check_required_mapping(name, value, expected)


def check_required_mapping(name: str, value: Any, expected: str) -> dict[Any, Any]:
    """Return a mapping as a dict; `expected` describes it in the error message."""
    if not isinstance(value, Mapping):
        raise _type_error(name, value, expected)
    return dict(value)


def check_distributions(name: str, value: Any) -> list[list[dict[Any, Any]]] | None:
    """Return optional soft targets: per text a list, and in it per position {word: probability}."""
    if value is None:
        return None
    texts = enumerate(check_list(name, value, "a list of distributions for each text"))
    rows = [
        (f"{name}[{index}]", check_list(f"{name}[{index}]", text, "a list of dicts"))
        for index, text in texts
    ]
    return [
        [
            check_required_mapping(f"{place}[{position}]", distribution, DISTRIBUTION)
            for position, distribution in enumerate(row)
        ]
        for place, row in rows
    ]


def check_list(name: str, value: Any, expected: str) -> list[Any]:
    """Return a list of anything; `expected` describes it in the error message."""
    if isinstance(value, NON_LISTS) or not isinstance(value, Iterable):
        raise _type_error(name, value, expected)
    try:
        iterator = iter(value)
    except TypeError:  # an array without dimensions
        raise _type_error(name, value, expected) from None
    return list(iterator)


def _type_error(name: str, value: Any, expected: str) -> TypeError:
    kind = "None" if value is None else type(value).__name__
    article = "" if value is None else "an " if kind[0].lower() in "aeiou" else "a "
    return TypeError(f"{name} is {article}{kind}: pass {expected}")
