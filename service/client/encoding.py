"""Encoding of a request body as JSON."""

import json
import math
from collections.abc import Iterator
from typing import Any

from service.client.errors import NotSent

# Python converts no integer of more than 4,300 digits (14,284 bits) to text.
MAX_INTEGER_BITS = 10_000
NOT_SENT = "the request was not sent"
UNENDING = "a value that is nested too deeply or contains itself"


def encode_json(body: dict[str, Any]) -> bytes:
    """Return `body` as JSON in UTF-8. Arrays and scalars of numpy, pandas and torch are encoded as
    the result of their `tolist`.

    Raises NotSent if JSON cannot represent a value; its `param` is the path of the value, such as
    `texts.3`. Raises TypeError for an object that is not data.
    """
    try:
        text = json.dumps(
            body, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_to_list
        )
        return text.encode()
    except (ValueError, RecursionError) as error:
        for path, value in _leaves(body):
            problem = _problem_of(value)
            if problem is not None:
                raise NotSent(f"{problem}; {NOT_SENT}", param=path) from error
        raise NotSent(f"JSON cannot represent {UNENDING}; {NOT_SENT}") from error


def _problem_of(value: Any) -> str | None:
    if isinstance(value, str) and not _is_encodable(value):
        return "a lone surrogate is not Unicode text"
    if isinstance(value, float) and not math.isfinite(value):
        return "JSON cannot represent NaN or infinity"
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        return f"the integer is too long: more than {MAX_INTEGER_BITS:,} bits"
    return None


def _to_list(value: Any) -> Any:
    tolist = getattr(value, "tolist", None)
    if tolist is None:
        raise TypeError(
            f"a {type(value).__name__} cannot be encoded as JSON: pass text, numbers, lists, dicts"
        )
    return tolist()


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _leaves(body: Any) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) for each scalar and (container's path, key) for each key.

    Each container is visited once, so that a container in itself does not loop.
    """
    stack, seen = [("", body)], set()
    while stack:
        path, value = stack.pop()
        value = value.tolist() if hasattr(value, "tolist") else value
        if not isinstance(value, dict | list | tuple):
            yield path, value
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            for key in value:
                yield path, key
            children = [(f"{path}.{key}" if path else str(key), value[key]) for key in value]
        else:
            children = [(f"{path}.{index}", item) for index, item in enumerate(value)]
        stack += reversed(children)
