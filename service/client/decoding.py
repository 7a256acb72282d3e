"""From what a JSON parser gave to the frozen dataclass that describes it.

A field that a newer server adds is ignored.
"""

import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from math import isfinite
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

Result = TypeVar("Result")

NULL: type = type(None)
PLAIN: dict[type, tuple[type, ...]]
PLAIN = {str: (str,), int: (int,), bool: (bool,), float: (float, int)}
ANYTHING = frozenset((str, int, bool, float, dict, list, NULL))


class Member(NamedTuple):
    """A field: its name, the types that a parser may give for it, what is made of such a value, if
    anything, and whether it may be left out.
    """

    name: str
    kinds: frozenset[type]
    convert: Callable[[Any], Any] | None
    optional: bool


def read(kind: type[Result], data: Any) -> Result:
    """`data`, as a JSON parser gave it, as a `kind`; lists become tuples.

    Raises TypeError if it is not an object, lacks a field that `kind` has no default for, or has a
    value of the wrong type.
    """
    if not isinstance(data, dict):
        raise TypeError(f"{kind.__name__} is not an object")
    plain: type = kind  # to mypy, a type[Result] has no hash
    given = {}
    for name, kinds, convert, optional in _members(plain):
        if name not in data:
            if optional:
                continue
            raise TypeError(f"{kind.__name__} has no {name}")
        value = data[name]
        if type(value) not in kinds:
            raise TypeError(f"{kind.__name__}.{name} has the wrong type")
        given[name] = value if convert is None or value is None else convert(value)
    return kind(**given)


@cache
def _members(kind: type) -> tuple[Member, ...]:
    hints = get_type_hints(kind)
    return tuple(
        Member(
            field.name,
            *_read_as(hints[field.name]),
            field.default is not MISSING or field.default_factory is not MISSING,
        )
        for field in fields(kind)
    )


def _read_as(hint: Any) -> tuple[frozenset[type], Callable[[Any], Any] | None]:
    """The types of JSON that a hint allows, and what is made of a value that is not null."""
    if hint is Any:
        return ANYTHING, None
    if get_origin(hint) in (types.UnionType, Union):
        parts = [_read_as(part) for part in get_args(hint) if part is not NULL]
        (convert,) = {convert for _, convert in parts}
        return frozenset({NULL}.union(*(kinds for kinds, _ in parts))), convert
    if is_dataclass(hint):
        return frozenset({dict}), lambda value: read(hint, value)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return frozenset({list}), _all(*_read_as(get_args(hint)[0]))
    if get_origin(hint) is dict:
        return frozenset({dict}), _values(*_read_as(get_args(hint)[1]))
    return frozenset(PLAIN[hint]), _finite if hint is float else None


def _all(kinds: frozenset[type], convert: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    def items(values: list[Any]) -> tuple[Any, ...]:
        if not kinds.issuperset(map(type, values)):
            raise TypeError("an item of a list has the wrong type")
        return tuple(values if convert is None else map(convert, values))

    return items


def _values(kinds: frozenset[type], convert: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    convert_all = _all(kinds, convert)
    return lambda named: dict(zip(named, convert_all(list(named.values())), strict=True))


def _finite(value: float) -> float:
    """Raise TypeError for a number beyond the range of a double: the parser reads `1e400` as
    infinity, and an integer as what it is.
    """
    try:
        is_finite = isfinite(value)
    except OverflowError:  # an integer
        is_finite = False
    if not is_finite:
        raise TypeError("a number is beyond the range of a double")
    return value
