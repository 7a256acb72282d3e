"""The text of generated ids as it reads after its prompt, and where each token starts in it."""

import codecs
from typing import Protocol

import numpy as np

from service.tokenizer import Ids, Tokenizer

# How many ids before a token decide how it is joined to them.
JUNCTION = 32


class Continuation(Protocol):
    text: str
    starts: list[int]

    @property
    def settled(self) -> int:
        """How many characters of the text no token to come can change."""

    def add(self, token: int) -> None: ...


def continuation_of(tokenizer: Tokenizer, prompt: Ids) -> Continuation:
    return SpelledOut(tokenizer) if tokenizer.subword else JoinedWords(tokenizer, prompt)


class SpelledOut:
    """Of characters or pieces: what they spell in a row. A character of several tokens is `\ufffd`
    until its last byte came.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._spellings = tokenizer.vocabulary.spellings
        self._end_id = tokenizer.end_id
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._whole = ""
        self.starts: list[int] = []
        self.text = ""

    @property
    def settled(self) -> int:
        return len(self._whole)

    def add(self, token: int) -> None:
        spelling = b"\n" if token == self._end_id else self._spellings[token]
        if not _continues(spelling):
            self._whole += self._decoder.decode(b"", final=True)
        self.starts.append(len(self._whole))
        self._whole += self._decoder.decode(spelling)
        unfinished = bool(self._decoder.getstate()[0])
        self.text = self._whole + ("\ufffd" if unfinished else "")


def _continues(spelling: bytes) -> bool:
    """Whether it begins with a byte that is never a character's first."""
    return 0x80 <= spelling[0] < 0xC0


class JoinedWords:
    """Of whole words: one can change the space before the one that it follows. `well` `-` reads
    `well -`, and with `known` after it `well-known`. The prompt itself stands as it was sent.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Ids) -> None:
        self._tokenizer = tokenizer
        self._last = prompt[-JUNCTION:]
        self.starts: list[int] = []
        self.text = ""

    @property
    def settled(self) -> int:
        if not self.starts or self.text[-1:].isalnum():
            return len(self.text)
        return len(self.text[: self.starts[-1]].rstrip(" "))

    def add(self, token: int) -> None:
        longer = np.append(self._last, token)
        before, after = self._tokenizer.decode(self._last), self._tokenizer.decode(longer)
        self._last = longer[-JUNCTION:]
        same = _common(before, after)
        cut = len(self.text) - (len(before) - same)
        if cut < 0:  # the prompt's end would change
            cut, new = len(self.text), " " + self._tokenizer.decode(longer[-1:])
        else:
            new = after[same:]
        old, self.text = self.text, self.text[:cut] + new
        for at, start in enumerate(self.starts):
            if start > cut:
                self.starts[at] = _place(self.text, cut, _solid(old[cut:start]))
        self.starts.append(_place(self.text, cut, _solid(old[cut:])))


def _common(left: str, right: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(left), len(right)))


def _solid(text: str) -> int:
    return len(text) - text.count(" ")


def _place(text: str, begin: int, solid: int) -> int:
    """Where the next character stands after so many from `begin` on, spaces not counted."""
    for at in range(begin, len(text)):
        if text[at] != " ":
            if solid == 0:
                return at
            solid -= 1
    return len(text)
