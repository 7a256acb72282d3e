"""Ids of a Parquet column: numbers and booleans unchanged, lists and structs as JSON, all other
types as text, without loss.
"""

import math
from typing import Any

import orjson

from service.bulk.input.json_line import Id, JsonText, dumps

DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def ids(pa: Any, column: Any) -> list[Id]:
    """Return the ids of an arrow array; `pa` is the module pyarrow."""
    kind, types = column.type, pa.types
    if isinstance(kind, pa.UuidType):
        return [None if value is None else str(value) for value in column.to_pylist()]
    if isinstance(kind, pa.BaseExtensionType):
        return ids(pa, column.storage)
    if types.is_dictionary(kind):
        return ids(pa, column.dictionary_decode())
    if types.is_integer(kind) or types.is_boolean(kind):
        values: list[Id] = column.to_pylist()
        return values
    if any(test(kind) for test in _list_tests(types)):
        lists = (value.values for value in column)
        return [None if values is None else _json(ids(pa, values)) for values in lists]
    if types.is_map(kind):
        return [_pairs(pa, value.values) for value in column]
    if types.is_struct(kind):
        return _structs(pa, column)
    if types.is_timestamp(kind):
        return _timestamps(pa, column)
    if types.is_time(kind) and kind.unit == "ns":
        return [_nanoseconds(n, time) for n, time in _split(pa, column, pa.time64("us"))]
    return _plain(pa, column)


def _plain(pa: Any, column: Any) -> list[Id]:
    kind, types = column.type, pa.types
    if is_text(pa, kind):
        raw = as_bytes(pa, column).to_pylist()
        return [None if v is None else v.decode("utf-8", "backslashreplace") for v in raw]
    if types.is_floating(kind):
        return [v if v is None or math.isfinite(v) else _not_finite(v) for v in column.to_pylist()]
    if types.is_decimal(kind):
        return [None if v is None else f"{v:f}" for v in column.to_pylist()]
    if types.is_duration(kind):
        return [_duration(n, DIGITS[kind.unit]) for n in column.cast(pa.int64()).to_pylist()]
    if types.is_date(kind):
        texts: list[Id] = column.cast(pa.string()).to_pylist()
        return texts
    return [_value(value) for value in column]


def is_text(pa: Any, kind: Any) -> bool:
    """Return whether a column of this type can hold texts; the null type can."""
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return not isinstance(kind, pa.UuidType) and is_text(pa, kind.storage_type)
    if types.is_dictionary(kind):
        return is_text(pa, kind.value_type)
    tests = (
        *(types.is_string, types.is_large_string, types.is_string_view, types.is_null),
        *(types.is_binary, types.is_large_binary, types.is_binary_view),
        types.is_fixed_size_binary,
    )
    return any(test(kind) for test in tests)


def as_bytes(pa: Any, column: Any) -> Any:
    """Return a text column as a column of bytes, which may be invalid UTF-8."""
    if isinstance(column.type, pa.BaseExtensionType):
        return as_bytes(pa, column.storage)
    if pa.types.is_dictionary(column.type):
        return as_bytes(pa, column.dictionary_decode())
    large = pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
    return column.cast(pa.large_binary() if large else pa.binary())


def _list_tests(types: Any) -> tuple[Any, ...]:
    views = types.is_list_view, types.is_large_list_view
    return types.is_list, types.is_large_list, types.is_fixed_size_list, *views


def _json(values: list[Id]) -> Id:
    return JsonText(f"[{','.join(dumps(value).decode() for value in values)}]")


def _pairs(pa: Any, entries: Any) -> Id:
    if entries is None:
        return None
    columns = [ids(pa, column) for column in entries.flatten()]
    return _json([_json(list(pair)) for pair in zip(*columns, strict=True)])


def _structs(pa: Any, column: Any) -> list[Id]:
    names = [dumps(column.type.field(i).name).decode() for i in range(column.type.num_fields)]
    columns = [[dumps(v).decode() for v in ids(pa, child)] for child in column.flatten()]
    structs: list[Id] = []
    for row, is_null in enumerate(column.is_null().to_pylist()):
        members = (f"{name}:{values[row]}" for name, values in zip(names, columns, strict=True))
        structs.append(None if is_null else JsonText(f"{{{','.join(members)}}}"))
    return structs


def _timestamps(pa: Any, column: Any) -> list[Id]:
    kind = column.type
    if kind.tz is not None and not _is_known_zone(pa, kind):
        column = column.cast(kind := pa.timestamp(kind.unit, "UTC"))
    if kind.unit != "ns":
        return [_value(value) for value in column]
    split = _split(pa, column, pa.timestamp("us", kind.tz))
    return [_nanoseconds(n, whole) for n, whole in split]


def _is_known_zone(pa: Any, kind: Any) -> bool:
    try:
        pa.scalar(0, kind).as_py()
    except ValueError:
        return False
    return True


def _split(pa: Any, column: Any, whole: Any) -> list[tuple[int, Any]]:
    """Return the nanoseconds after each whole microsecond, and the value without them.

    They are separated because Python's times have no nanoseconds.
    """
    counts = column.cast(pa.int64()).to_pylist()
    micros = pa.array([None if n is None else n // 1000 for n in counts], pa.int64()).cast(whole)
    return [(n % 1000 if n else 0, scalar) for n, scalar in zip(counts, micros, strict=True)]


def _nanoseconds(nanos: int, scalar: Any) -> Id:
    text = _value(scalar)
    if not nanos or not isinstance(text, str):
        return text
    seconds_end = text.index(":") + len(":00:00")
    rest = seconds_end + 7 if text[seconds_end : seconds_end + 1] == "." else seconds_end
    fraction = text[seconds_end + 1 : rest] or "000000"
    return f"{text[:seconds_end]}.{fraction}{nanos:03d}{text[rest:]}"


def _value(scalar: Any) -> Id:
    """Return a date or a time in ISO 8601, or its number if it is outside Python's calendar."""
    if not scalar.is_valid:
        return None
    try:
        value = orjson.loads(orjson.dumps(scalar.as_py()))
    except (ValueError, OverflowError, TypeError):
        value = getattr(scalar, "value", scalar)
    return str(value)


def _duration(count: int | None, digits: int) -> Id:
    """Return `count` × 10^-`digits` seconds in ISO 8601: 1500 with 3 digits is PT1.5S."""
    if count is None:
        return None
    seconds, fraction = divmod(abs(count), 10**digits)
    rest = f".{fraction:0{digits}d}".rstrip("0") if fraction else ""
    return f"{'-' if count < 0 else ''}PT{seconds}{rest}S"


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
