"""The offset of each token in its text."""

import numpy as np

from service.arrays import Ids
from service.text.speller import Speller
from service.text.tokenized_text import TokenizedText
from service.text.tokenizer import Tokenizer


def token_starts(tokenizer: Tokenizer, text: TokenizedText) -> list[int]:
    """Return the offset of each token in `text.text`, in code points."""
    if text.starts is not None:
        return text.starts
    encoding = tokenizer.encode(text.text)
    if np.array_equal(encoding.ids, text.ids):
        return encoding.starts
    return decoded_token_starts(tokenizer, text.ids, text.text)


def decoded_token_starts(tokenizer: Tokenizer, ids: Ids, text: str) -> list[int]:
    """Return the offset of each of any ids (n,) in `text`, which they decode to, in linear time."""
    if tokenizer.subword:
        return _spelled_starts(tokenizer, ids)
    end_id, entries = tokenizer.end_id, tokenizer.entries
    lengths = [1 if i == end_id else count_non_spaces(entries[i]) for i in ids.tolist()]
    # Decoding changes spaces alone, so that the count of all other characters places a token.
    before = np.cumsum([0, *lengths])[:-1]
    characters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    places = np.append(np.flatnonzero(characters != ord(" ")), len(text))
    starts: list[int] = places[np.minimum(before, len(places) - 1)].tolist()
    return starts


def _spelled_starts(tokenizer: Tokenizer, ids: Ids) -> list[int]:
    speller, starts, length = Speller(tokenizer), [], 0
    for token in ids.tolist():
        broken, added = speller.spell(token)
        starts.append(length + len(broken))
        length += len(broken) + len(added)
    return starts


def count_non_spaces(text: str) -> int:
    return len(text) - text.count(" ")
