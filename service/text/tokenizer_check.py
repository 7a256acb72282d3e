"""Checks of a `tokenizer.json`: how much longer it may make a text, and whether it encodes one.

A normalizer of a few bytes can make a text 2⁴⁰ times as long: the file loads, and the first text
takes all memory. Each part of the file has a bound of its growth; the product of these bounds is a
bound for the whole.
"""

import json
from collections.abc import Callable
from typing import Any

from service.errors import BundleError
from service.limits import MAX_TOKENIZER_GROWTH

# Bytes of the file: real vocabularies have up to 70 for each entry.
BYTES_PER_ENTRY, OTHER_BYTES = 1024, 1 << 20
MAX_REASON_CHARACTERS = 100

# Characters that one character may become. Unicode's forms reach 18, byte alphabets 4.
GROWTH = {
    "NFC": 3,
    "NFD": 4,
    "NFKC": 18,
    "NFKD": 18,
    "Lowercase": 3,
    "Strip": 1,
    "StripAccents": 1,
    "Nmt": 1,
    "BertNormalizer": 3,
    "ByteLevel": 4,
    "Metaspace": 2,
    "Precompiled": 18,
}
LISTS = ("normalizers", "pretokenizers", "decoders")

# Characters of every kind, alone and repeated.
PROBE = (
    "".join(map(chr, range(0x20, 0x7F)))
    + " the city of the river, 1984 and 3.14. "
    + "éßñŁйΩ אب ไทย 河流 の ﬃ½ 한글 😀👩‍👧 \u200b\u00a0\ufdfa\t\r\n"
    + " ".join(character * 300 for character in "a0 .é河")
)

EncodeFn = Callable[[str], tuple[list[int], list[int]]]


def check_growth(serialized: bytes, vocabulary_size: int) -> None:
    """Raise BundleError if the file is too large for its vocabulary, or if a normalizer,
    pre-tokenizer or decoder may make a text more than MAX_TOKENIZER_GROWTH times as long.
    """
    max_bytes = OTHER_BYTES + BYTES_PER_ENTRY * vocabulary_size
    if len(serialized) > max_bytes:
        raise BundleError(
            f"tokenizer.json is too large for {vocabulary_size} entries: {len(serialized)} bytes "
            f"(at most {max_bytes})"
        )
    try:
        document = json.loads(serialized)
    except (ValueError, RecursionError):
        raise BundleError("tokenizer.json is not JSON") from None
    if not isinstance(document, dict):
        raise BundleError("tokenizer.json is not a JSON object")
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        growth = _growth(document.get(part))
        if growth > MAX_TOKENIZER_GROWTH:
            raise BundleError(
                f"tokenizer.json, {part}: it may make a text {min(growth, 10**9):.0f} times as "
                f"long (at most {MAX_TOKENIZER_GROWTH} times)"
            )


def check_encoding(encode: EncodeFn, vocabulary_size: int) -> None:
    """Encode a text of many scripts. `encode` returns ids and the ends of their tokens.

    Raises BundleError if that fails, or if an id or an offset is out of range.
    """
    try:
        ids, ends = encode(PROBE)
    except BaseException as error:  # a panic of the library's Rust code is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        reason = str(error).partition("\n")[0][:MAX_REASON_CHARACTERS]
        raise BundleError(f"tokenizer.json cannot encode a text: {reason}") from None
    if any(not 0 <= one < vocabulary_size for one in ids):
        raise BundleError("tokenizer.json has ids outside the vocabulary")
    if any(end > len(PROBE) for end in ends):
        raise BundleError("tokenizer.json has tokens that end after the text")


def _growth(part: Any) -> float:
    """Return an upper bound of the characters after a part ÷ those before it."""
    if not isinstance(part, dict):
        return 1
    kind = part.get("type")
    if kind == "Sequence":
        growth = 1.0
        for name in LISTS:
            parts = part.get(name)
            for inner in parts if isinstance(parts, list) else []:  # the library rejects others
                growth = min(growth * _growth(inner), 1e300)
        return growth
    if kind == "Replace":
        pattern, content = part.get("pattern"), str(part.get("content", ""))
        text = pattern.get("String") if isinstance(pattern, dict) else None
        return max(1, len(content) / len(text)) if text else 1 + len(content)
    if kind == "Prepend":
        return 1 + len(str(part.get("prepend", "")))
    return GROWTH.get(str(kind), 1)
