"""Whether a `tokenizer.json` can read texts: how much longer it may make them, and what it gives.

A normalizer can double a text forty times over: the file is small, it loads, and the first text
takes all the memory there is. The parts of the file say how much each can add; their product bounds
what all of them do.
"""

import json
from collections.abc import Callable
from typing import Any

from service.errors import BundleError

# Unicode's own forms reach 18, byte alphabets 4. A piece of a text has 4,096
# characters.
MAX_GROWTH = 200
# Bytes of the file for each entry: the longest real vocabularies have 70.
BYTES_AN_ENTRY, BYTES_BESIDE = 1024, 1 << 20

# Characters that one character may become.
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

# A character of every kind, alone and in runs.
PROBE = (
    "".join(map(chr, range(0x20, 0x7F)))
    + " the city of the river, 1984 and 3.14. "
    + "éßñŁйΩ אب ไทย 河流 の ﬃ½ 한글 😀👩‍👧 \u200b\u00a0\ufdfa\t\r\n"
    + " ".join(character * 300 for character in "a0 .é河")
)

Encode = Callable[[str], tuple[list[int], list[int]]]


def check_growth(serialized: bytes, vocabulary_size: int) -> None:
    """Raises BundleError for a file, a normalizer, a pre-tokenizer or a decoder that is out of all
    proportion.
    """
    most = BYTES_BESIDE + BYTES_AN_ENTRY * vocabulary_size
    if len(serialized) > most:
        raise BundleError(
            f"tokenizer.json has {len(serialized)} bytes; {vocabulary_size} entries take at most "
            f"{most}"
        )
    try:
        document = json.loads(serialized)
    except (ValueError, RecursionError):
        raise BundleError("tokenizer.json: it is not JSON") from None
    if not isinstance(document, dict):
        raise BundleError("tokenizer.json: it is not a JSON object")
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        found = _growth(document.get(part))
        if found > MAX_GROWTH:
            raise BundleError(
                f"tokenizer.json, {part}: it may make a text {min(found, 10**9):.0f} times as "
                f"long; at most {MAX_GROWTH} times is allowed"
            )


def check_reading(encode: Encode, vocabulary_size: int) -> None:
    """Encode a text of many scripts to ids and the ends of their tokens. Raises BundleError where
    that fails, or gives what cannot be.
    """
    try:
        ids, ends = encode(PROBE)
    except BaseException as error:  # what the library's Rust panics with is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        reason = str(error).partition("\n")[0][:100]
        raise BundleError(f"tokenizer.json cannot read a text: {reason}") from None
    if any(not 0 <= one < vocabulary_size for one in ids):
        raise BundleError("tokenizer.json: it has ids beyond the vocabulary")
    if any(end > len(PROBE) for end in ends):
        raise BundleError("tokenizer.json: its tokens do not lie in the text")


def _growth(part: Any) -> float:
    """Return an upper bound of characters after ÷ characters before."""
    if not isinstance(part, dict):
        return 1
    kind = part.get("type")
    if kind == "Sequence":
        growth = 1.0
        for name in LISTS:
            parts = part.get(name)
            for inner in parts if isinstance(parts, list) else []:  # the library refuses others
                growth = min(growth * _growth(inner), 1e300)
        return growth
    if kind == "Replace":
        pattern, content = part.get("pattern"), str(part.get("content", ""))
        text = pattern.get("String") if isinstance(pattern, dict) else None
        return max(1, len(content) / len(text)) if text else 1 + len(content)
    if kind == "Prepend":
        return 1 + len(str(part.get("prepend", "")))
    return GROWTH.get(str(kind), 1)
