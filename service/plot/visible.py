"""Text that every file format can hold: control characters as the signs that Unicode has for them.

XML 1.0 allows no control characters, and a browser reads a carriage return as a newline.
"""

import re

PICTURES = 0x2400  # ␀, and after it the other 31; 0x2421 is ␡
# Controls, surrogates (of a file's name that is not UTF-8), and what is no character.
HIDDEN = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
HIDDEN_BUT_SPACE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def visible(text: str, *, keep_space: bool = False) -> str:
    """Return `text` of the same length, with tabs and newlines as they are if `keep_space`."""
    return (HIDDEN_BUT_SPACE if keep_space else HIDDEN).sub(_sign, text)


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(PICTURES + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"
