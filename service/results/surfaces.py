"""Surfaces: tokens as a person reads them.

The surface of a token in a text is the part of the text that it covers; it is empty at the end of
the text. If a character is several tokens, the surface of each is the whole character. If the
request gave ids, the text is what they decode to. The surface of a token that may come next is what
it adds to the text: the character that it completes, otherwise its name:

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
from service.text.speller import Speller
from service.text.tokenizer import Tokenizer


class TokenSpans(NamedTuple):
    """A text, and the span of each of its n tokens in it: `text[start:end]` is the surface."""

    text: str
    starts: list[int]
    ends: list[int]


def token_spans(tokenizer: Tokenizer, score: TextScore) -> TokenSpans:
    """Return the spans of a score's tokens, those of an added `<eos>` included."""
    if score.starts is not None and score.ends is not None:
        return TokenSpans(score.text, score.starts, score.ends)
    ids = (score.ids[:-1] if score.end_added else score.ids).tolist()
    spans = _subword_spans(tokenizer, ids) if tokenizer.subword else _word_spans(tokenizer, ids)
    if score.end_added:
        spans.starts.append(len(spans.text))
        spans.ends.append(len(spans.text))
    return spans


def _word_spans(tokenizer: Tokenizer, ids: list[int]) -> TokenSpans:
    surfaces = [tokenizer.vocabulary.surfaces[token] for token in ids]
    bounds = [0, *accumulate(map(len, surfaces))]
    return TokenSpans("".join(surfaces), bounds[:-1], bounds[1:])


def _subword_spans(tokenizer: Tokenizer, ids: list[int]) -> TokenSpans:
    speller, parts, length = Speller(tokenizer), list[str](), 0
    starts: list[int] = []
    ends: list[int] = []
    for token in ids:
        broken, added = speller.spell(token)
        starts.append(length + len(broken))
        length += len(broken) + len(added)
        ends.append(length + bool(speller.pending_bytes))
        parts += [broken, added]
    unfinished = "\ufffd" if speller.pending_bytes else ""
    return TokenSpans("".join(parts) + unfinished, starts, ends)


class NextSurfaces:
    """The surfaces of tokens that may follow a text.

    `surface` returns the surface of a token after the tokens that `add` appended to the text.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._spellings = tokenizer.vocabulary.spellings
        self._alone = tokenizer.vocabulary.surfaces
        self._speller = Speller(tokenizer) if tokenizer.vocabulary.byte_level else None
        self.surface: Callable[[int], str] = self._alone.__getitem__

    def add(self, token: int) -> None:
        """Append a token to the text."""
        if self._speller is None:  # no character is several tokens
            return
        self._speller.spell(token)
        if pending := self._speller.pending_bytes:
            self.surface = partial(self._completed, pending)
        else:
            self.surface = self._alone.__getitem__

    def _completed(self, pending: bytes, token: int) -> str:
        try:
            return (pending + self._spellings[token]).decode()
        except UnicodeDecodeError:
            return self._alone[token]
