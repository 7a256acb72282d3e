"""Texts and words with their ids."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.arrays import Ids
from service.errors import UnknownToken
from service.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text and its ids (n,).

    `starts` and `ends` are offsets into `text` in code points; they are None if the request gave
    ids, and then `text` is what these decode to. `words` counts words between white space.
    `first_end` is the end of the first token, or 0 if the second token is of the same character.
    """

    text: str
    ids: Ids
    starts: list[int] | None
    ends: list[int] | None
    words: int
    first_end: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word of a request and its one token."""

    text: str
    id: int
    oov: bool


def tokenize(tokenizer: Tokenizer, text: str, max_tokens: int = sys.maxsize) -> TokenizedText:
    """Return a text with its ids. Raises InputTooLong as `Tokenizer.encode` does."""
    encoding = tokenizer.encode(text, max_tokens)
    starts, ends = encoding.starts, encoding.ends
    first_end = min([*ends[:1], *starts[1:2]], default=0)
    return TokenizedText(text, encoding.ids, starts, ends, len(text.split()), first_end)


def detokenize(tokenizer: Tokenizer, ids: Sequence[int], param: str) -> TokenizedText:
    """Return the ids of the field `param` with their text.

    Raises UnknownToken for an id out of range.
    """
    size = tokenizer.vocabulary_size
    for position, token in enumerate(ids):
        if not 0 <= token < size:
            raise UnknownToken(f"ids are 0 to {size - 1}", f"{param}.{position}")
    array = np.array(ids, np.int64)
    text = tokenizer.decode(array)
    first = tokenizer.decode(array[:1])
    first_end = len(first) if text.startswith(first) else 0
    return TokenizedText(text, array, None, None, len(text.split()), first_end)


def find_candidate(tokenizer: Tokenizer, word: str, param: str) -> Candidate:
    """Return a word with its id. Raises UnknownToken unless it is exactly one token."""
    ids = tokenizer.word_ids(word)
    if len(ids) != 1:
        raise UnknownToken(f"this candidate is {len(ids)} tokens; it must be exactly one", param)
    return Candidate(word, ids[0], ids[0] == tokenizer.unknown_id)
