"""JSON lines: the members of a line, and ids that are copied without loss.

A JSON number has no bounds: `100000000000000000001`, `1e400` and `-0` all become another number in
a double or in 64 bits. An id must be written as it was read, so it is copied and not converted.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]++')
NOT_JSON = ("NaN", "Infinity", "-Infinity")
INT_DIGITS = 18  # and a sign; any number of 18 digits fits into 64 bits, as orjson needs it


@dataclass(frozen=True, slots=True)
class JsonText:
    """JSON that is written verbatim: a number, a list, an object, or a string that has no UTF-8."""

    text: str


Id = str | int | float | JsonText | None


def dumps(value: object) -> bytes:
    """Return `value`, which may contain ids, as JSON."""
    return orjson.dumps(value, default=_fragment, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def as_text(value: Id) -> str | None:
    """Return an id for a column of text: a string unchanged, anything else as JSON."""
    return value if value is None or isinstance(value, str) else dumps(value).decode()


def parse(line: bytes) -> Any:
    """Return the value of a line. Raises ValueError.

    NaN, lone surrogates and numbers beyond a double are accepted, because Python's `json` writes
    them.
    """
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            return _LENIENT.decode(line.decode())
        except (ValueError, RecursionError):
            raise ValueError(f"not JSON: {error.msg}") from None


def exact(line: bytes, row: dict[str, Any], field: str) -> Id:
    """Return the member `field` of `row`, which `parse` made of `line`, without loss.

    `{"id": 1e400}` gives JsonText("1e400") and `{"id": [1.0, -0]}` JsonText("[1.0,-0]"). A value
    that is not JSON becomes a string: `{"id": NaN}` gives "NaN".
    """
    value = row.get(field)
    if value is None or isinstance(value, bool) or (isinstance(value, int) and value):
        return value
    if isinstance(value, str) and is_text(value):
        return value
    member = _last_member(line.decode(), field)
    return member[1:-1] if member[1:-1] in NOT_JSON else JsonText(member)


def is_text(value: str) -> bool:
    """Return whether a string can be encoded as UTF-8: it has no lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fragment(value: Any) -> orjson.Fragment:
    if isinstance(value, JsonText):
        return orjson.Fragment(value.text)
    raise TypeError(f"{type(value).__name__} is not an id")


def _int_or_float(digits: str) -> int | float:
    """Return a float for a number beyond 64 bits, because Python's int takes 4,300 digits only."""
    return int(digits) if len(digits) <= INT_DIGITS else float(digits)


_LENIENT = json.JSONDecoder(parse_int=_int_or_float)


def _last_member(line: str, field: str) -> str:
    """Return the JSON text of the last member of this name; parsers take the last one too.

    A loop over tokens is used because nested values may be deeper than Python's stack.
    """
    depth, member = 0, "null"
    key: str | None = None
    value: list[str] | None = None
    for token in TOKEN.findall(line):
        if token in ("}", "]"):
            depth -= 1
        if (depth, token) in ((0, "}"), (1, ",")):
            if key == field and value is not None:
                member = "".join(value)
            key = value = None
        elif value is not None:
            value.append(_encode(token))
        elif token == ":":
            value = []
        elif depth == 1:
            key = json.loads(token)
        if token in ("{", "["):
            depth += 1
    return member


def _encode(token: str) -> str:
    if token in NOT_JSON:
        return f'"{token}"'
    if token[0] == '"':
        value = json.loads(token)
        return orjson.dumps(value).decode() if is_text(value) else token
    return token
