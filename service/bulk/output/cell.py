"""Text in a cell of a TSV, such that pandas, R's read.delim and awk read the same cell.

The text is escaped as JSON escapes it: `json.loads(f'"{cell}"')` is the text. Escaped are

- backslashes, tabs, line ends and other control characters: `\\\\`, `\\t`, `\\n`, `\\r`, `\\u0000`;
- quotes, as `\\u0022`, because pandas and R join the lines up to the next quote, and awk does not;
- the first character of what pandas or R reads as a missing value: `\\u004eA` for `NA`.
"""

import re

ESCAPED = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
# Other characters of category Cc, and those of Unicode that end a line: C strings end at a NUL, and
# Python's splitlines() parts a text at the rest.
ODD = re.compile('[\\\\"\x00-\x1f\x7f-\x9f\u2028\u2029]')
# pandas.io.parsers.readers.STR_NA_VALUES in any case; R's own is NA.
MISSING = frozenset(
    {"na", "<na>", "n/a", "#n/a", "#n/a n/a", "#na", "nan", "-nan", "null", "none"}
    | {"1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}
)


def escaped(text: str) -> str:
    if text.lower() in MISSING:
        return _escape(text[0]) + text[1:]
    return ODD.sub(lambda match: _escape(match[0]), text)


def _escape(character: str) -> str:
    return ESCAPED.get(character, f"\\u{ord(character):04x}")
