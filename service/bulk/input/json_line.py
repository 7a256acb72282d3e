"""One line of JSON: its members, and the exact text of one of them.

A number of JSON has no bounds: `100000000000000000001`, `1e400` and `-0` all become another number
in a double or in 64 bits. An id must come out as it went in, so that it is copied and not computed.
"""

import json
import re
from typing import Any

import orjson

from service.bulk.input.ids import Id, JsonText

TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]++')
NOT_JSON = ("NaN", "Infinity", "-Infinity")
INT_DIGITS = 18  # with a sign; all of them are 64 bits, as orjson has them


def _whole(digits: str) -> int | float:
    """Return a float for a number beyond 64 bits. Python turns at most 4,300 digits into an int."""
    return int(digits) if len(digits) <= INT_DIGITS else float(digits)


_LENIENT = json.JSONDecoder(parse_int=_whole)


def parse(line: bytes) -> Any:
    """Return the value of a line. NaN, lone surrogates and numbers beyond a double are accepted,
    because Python's own `json` writes them. Raises ValueError.
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

    `{"id": 1e400}` gives JsonText("1e400") and `{"id": [1.0, -0]}` JsonText("[1.0,-0]"). What is
    not JSON becomes a string: `{"id": NaN}` gives "NaN".
    """
    value = row.get(field)
    if value is None or isinstance(value, bool) or (isinstance(value, int) and value):
        return value
    if isinstance(value, str) and is_text(value):
        return value
    found = _member(line.decode(), field)
    return found[1:-1] if found[1:-1] in NOT_JSON else JsonText(found)


def is_text(value: str) -> bool:
    """Whether a string has no lone surrogate, which no encoding can write."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _member(line: str, field: str) -> str:
    """Return the last member of this name, as parsers do where there are several. It does not
    recurse, because what it reads may be nested more deeply than Python's stack.
    """
    depth, found = 0, "null"
    key: str | None = None
    value: list[str] | None = None
    for token in TOKEN.findall(line):
        if token in ("}", "]"):
            depth -= 1
        if (depth, token) in ((0, "}"), (1, ",")):
            if key == field and value is not None:
                found = "".join(value)
            key = value = None
        elif value is not None:
            value.append(_written(token))
        elif token == ":":
            value = []
        elif depth == 1:
            key = json.loads(token)
        if token in ("{", "["):
            depth += 1
    return found


def _written(token: str) -> str:
    if token in NOT_JSON:
        return f'"{token}"'
    if token[0] == '"':
        value = json.loads(token)
        return orjson.dumps(value).decode() if is_text(value) else token
    return token
