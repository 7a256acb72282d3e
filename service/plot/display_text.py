"""Text that PNG, SVG and HTML can show: control characters become the Unicode symbols for them.

XML 1.0 allows no control characters, and a browser treats a carriage return as a newline.
"""

import re

# The surface of a line end; the empty one is the end of the text.
LINE_ENDS = ("", "\n", "\r\n")
NEWLINE_SYMBOL = "↵"
SPACE_SYMBOL = "␣"
CONTROL_SYMBOLS = 0x2400  # ␀ and the 31 symbols after it
DELETE_SYMBOL = "\u2421"
REPLACEMENT = "\ufffd"
# Controls, surrogates (from file names that are not UTF-8) and noncharacters.
INVISIBLE = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
INVISIBLE_EXCEPT_SPACE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)


def make_visible(text: str, *, keep_space: bool = False) -> str:
    """Return `text` with a symbol for each invisible character; the length stays the same.

    With `keep_space`, tabs and newlines are not replaced.
    """
    return (INVISIBLE_EXCEPT_SPACE if keep_space else INVISIBLE).sub(_symbol, text)


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(CONTROL_SYMBOLS + code)
    return DELETE_SYMBOL if code == 0x7F else REPLACEMENT
