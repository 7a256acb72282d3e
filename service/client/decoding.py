"""Decoding of parsed JSON into the frozen dataclasses of results, with type checks.

Fields that no dataclass declares are ignored, because a newer service may send them.
"""

import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from math import isfinite
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

Result = TypeVar("Result")
Converter = Callable[[Any], Any]

NULL: type = type(None)
SCALARS: dict[type, tuple[type, ...]]
SCALARS = {str: (str,), int: (int,), bool: (bool,), float: (float, int)}
ALL_JSON_TYPES = frozenset((str, int, bool, float, dict, list, NULL))


class FieldRule(NamedTuple):
    """The rule for one field of a dataclass.

    `json_types` are the Python types that the JSON parser may return for it. `convert`, unless it
    is None, turns such a value into the field's. `optional` fields may be missing.
    """

    name: str
    json_types: frozenset[type]
    convert: Converter | None
    optional: bool


def decode(kind: type[Result], data: Any) -> Result:
    """Return `data`, parsed from JSON, as a `kind`; lists become tuples.

    Raises TypeError if `data` is not an object, lacks a field for which `kind` has no default, or
    has a value of the wrong type.
    """
    if not isinstance(data, dict):
        raise TypeError(f"{kind.__name__} is not an object")
    hashable: type = kind  # mypy: a type[Result] has no hash
    values = {}
    for name, json_types, convert, optional in _field_rules(hashable):
        if name not in data:
            if optional:
                continue
            raise TypeError(f"{kind.__name__} lacks {name}")
        value = data[name]
        if type(value) not in json_types:
            raise TypeError(f"{kind.__name__}.{name} has the wrong type")
        values[name] = value if convert is None or value is None else convert(value)
    return kind(**values)


@cache
def _field_rules(kind: type) -> tuple[FieldRule, ...]:
    hints = get_type_hints(kind)
    return tuple(
        FieldRule(
            field.name,
            *_types_and_converter(hints[field.name]),
            field.default is not MISSING or field.default_factory is not MISSING,
        )
        for field in fields(kind)
    )


def _types_and_converter(hint: Any) -> tuple[frozenset[type], Converter | None]:
    """Return the parsed types that a type hint allows, and the converter of values but null."""
    if hint is Any:
        return ALL_JSON_TYPES, None
    if get_origin(hint) in (types.UnionType, Union):
        parts = [_types_and_converter(part) for part in get_args(hint) if part is not NULL]
        (convert,) = {convert for _, convert in parts}
        return frozenset({NULL}.union(*(json_types for json_types, _ in parts))), convert
    if is_dataclass(hint):
        return frozenset({dict}), lambda value: decode(hint, value)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return frozenset({list}), _tuple_converter(*_types_and_converter(get_args(hint)[0]))
    if get_origin(hint) is dict:
        return frozenset({dict}), _dict_converter(*_types_and_converter(get_args(hint)[1]))
    return frozenset(SCALARS[hint]), _require_double if hint is float else None


def _tuple_converter(json_types: frozenset[type], convert: Converter | None) -> Converter:
    def to_tuple(values: list[Any]) -> tuple[Any, ...]:
        if not json_types.issuperset(map(type, values)):
            raise TypeError("a list item has the wrong type")
        return tuple(values if convert is None else map(convert, values))

    return to_tuple


def _dict_converter(json_types: frozenset[type], convert: Converter | None) -> Converter:
    to_tuple = _tuple_converter(json_types, convert)
    return lambda named: dict(zip(named, to_tuple(list(named.values())), strict=True))


def _require_double(value: float) -> float:
    """Return `value`. Raise TypeError if it exceeds a double.

    The parser returns infinity for `1e400`, and an `int` for an integer of any length.
    """
    try:
        is_finite = isfinite(value)
    except OverflowError:  # a long integer
        is_finite = False
    if not is_finite:
        raise TypeError("a number is outside the range of a double")
    return value
