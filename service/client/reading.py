"""From what a JSON parser gave to the frozen dataclass that describes it.

A field that a newer server adds is ignored.
"""

from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

Result = TypeVar("Result")


def read(kind: type[Result], data: Any) -> Result:
    """`data`, as a JSON parser gave it, as a `kind`; lists become tuples.

    Raises TypeError if it is no object or lacks a field that `kind` has no default for.
    """
    if not isinstance(data, dict):
        raise TypeError(f"{kind.__name__} is read from an object")
    plain: type = kind  # to mypy, a type[Result] has no hash
    given = {}
    for name, inner in _members(plain):
        if name in data:
            value = data[name]
            if isinstance(value, list):
                value = tuple(value if inner is None else [read(inner, one) for one in value])
            elif inner is not None and value is not None:
                value = read(inner, value)
            given[name] = value
    return kind(**given)


@cache
def _members(kind: type) -> tuple[tuple[str, type | None], ...]:
    """Each field's name, and the dataclass that it or its items are of, if any."""
    hints = get_type_hints(kind)
    return tuple((field.name, _dataclass_in(hints[field.name])) for field in fields(kind))


def _dataclass_in(hint: Any) -> type | None:
    if isinstance(hint, type) and is_dataclass(hint):
        return hint
    return next(filter(None, map(_dataclass_in, get_args(hint))), None)
