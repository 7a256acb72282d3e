"""Tokens as a person reads them.

The surface of a token in a text is the piece of the text that it covers, and nothing at the end of
the text. Where a character is several tokens, the surface of each is the whole character. Where ids
were given, the text is what they decode to. The surface of a token that may come next is what it
adds to the text before it: the character that it completes, or else what it spells:

    text           "a河"             河 is the bytes e6 b2 b3
    tokens         a     æ²              ³
    surfaces       a     河              河
    next, after    a     bytes:\\xe6\\xb2   河
"""

from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import NamedTuple

from service.results.text_score import TextScore
from service.text.detokenizer import Speller
from service.text.tokenizer import Tokenizer


class Covered(NamedTuple):
    """A text, and the span of each of its n tokens in it: `text[start:end]` is the surface."""

    text: str
    starts: list[int]
    ends: list[int]


def covered(tokenizer: Tokenizer, score: TextScore) -> Covered:
    if score.starts is not None and score.ends is not None:
        return Covered(score.text, score.starts, score.ends)
    ids = (score.ids[:-1] if score.end_added else score.ids).tolist()
    spelled = _spelled(tokenizer, ids) if tokenizer.subword else _entries(tokenizer, ids)
    if score.end_added:
        spelled.starts.append(len(spelled.text))
        spelled.ends.append(len(spelled.text))
    return spelled


def _entries(tokenizer: Tokenizer, ids: list[int]) -> Covered:
    surfaces = [tokenizer.vocabulary.surfaces[token] for token in ids]
    bounds = [0, *accumulate(map(len, surfaces))]
    return Covered("".join(surfaces), bounds[:-1], bounds[1:])


def _spelled(tokenizer: Tokenizer, ids: list[int]) -> Covered:
    spell, parts, length = Speller(tokenizer), [], 0
    starts: list[int] = []
    ends: list[int] = []
    for token in ids:
        broken, own = spell(token)
        starts.append(length + len(broken))
        length += len(broken) + len(own)
        ends.append(length + spell.unfinished)
        parts += [broken, own]
    return Covered("".join(parts) + "\ufffd" * spell.unfinished, starts, ends)


class NextSurfaces:
    """Surfaces of tokens that may come next, after the tokens that `add` appended to the text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._spellings = tokenizer.vocabulary.spellings
        self._alone = tokenizer.vocabulary.surfaces
        self._spell = Speller(tokenizer) if tokenizer.vocabulary.over_bytes else None
        self.surface: Callable[[int], str] = self._alone.__getitem__

    def add(self, token: int) -> None:
        if self._spell is None:  # no character is several tokens
            return
        self._spell(token)
        if self._spell.unfinished:
            self.surface = partial(self._completed, self._spell.begun)
        else:
            self.surface = self._alone.__getitem__

    def _completed(self, begun: bytes, token: int) -> str:
        try:
            return (begun + self._spellings[token]).decode()
        except UnicodeDecodeError:
            return self._alone[token]
