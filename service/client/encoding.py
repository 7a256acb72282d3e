"""The body of a request as JSON."""

import json
import math
from collections.abc import Iterator
from typing import Any

from service.client.errors import NotSent


def written(body: dict[str, Any]) -> bytes:
    """Arrays and numbers of numpy, pandas and torch are written as what their `tolist` returns.

    Raises NotSent for what JSON cannot write, and TypeError for an object that is no data.
    """
    try:
        text = json.dumps(
            body, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain
        )
        return text.encode()
    except (ValueError, RecursionError) as error:
        message = "the request cannot be written as JSON: it is nested too deeply or holds itself"
        for place, value in _leaves(body):
            if isinstance(value, str) and not _is_unicode(value):
                message = "a lone surrogate is not Unicode text; nothing was sent"
                raise NotSent(message, param=place) from error
            if isinstance(value, float) and not math.isfinite(value):
                message = "JSON has no NaN and no infinity; nothing was sent"
                raise NotSent(message, param=place) from error
            if isinstance(value, int) and value.bit_length() > MOST_BITS:
                raise NotSent("this number is too long; nothing was sent", param=place) from error
        raise NotSent(f"{message}; nothing was sent") from error


MOST_BITS = 10_000  # Python writes no integer of more than 4,300 digits


def _plain(value: Any) -> Any:
    tolist = getattr(value, "tolist", None)
    if tolist is None:
        raise TypeError(f"a {type(value).__name__} cannot be sent: it is no text, number or list")
    return tolist()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _leaves(body: Any) -> Iterator[tuple[str, Any]]:
    """Keys and values with the place that holds them, such as `texts.3`; each container once."""
    waiting, seen = [("", body)], set()
    while waiting:
        place, value = waiting.pop()
        value = value.tolist() if hasattr(value, "tolist") else value
        if not isinstance(value, dict | list | tuple):
            yield place, value
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            for key in value:
                yield place, key
            named = [(f"{place}.{key}" if place else str(key), value[key]) for key in value]
        else:
            named = [(f"{place}.{index}", one) for index, one in enumerate(value)]
        waiting += reversed(named)
