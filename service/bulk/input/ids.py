"""Ids that inputs hand on: plain values, and JSON text where no plain value is exact."""

from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class JsonText:
    """JSON that is written as it stands: a number, a list, an object, or an odd string."""

    text: str


Id = str | int | float | JsonText | None


def dumps(value: object) -> bytes:
    """Return `value`, which may hold ids, as JSON."""
    return orjson.dumps(value, default=_fragment, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def as_text(value: Id) -> str | None:
    """Return an id for a column of text: a string as it is, anything else as JSON."""
    return value if value is None or isinstance(value, str) else dumps(value).decode()


def _fragment(value: Any) -> orjson.Fragment:
    if isinstance(value, JsonText):
        return orjson.Fragment(value.text)
    raise TypeError(f"{type(value).__name__} is not an id")
