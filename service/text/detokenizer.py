"""The text of generated ids as it reads after its prompt, and where each token starts in it."""

import codecs
from typing import Protocol

import numpy as np

from service.arrays import Ids
from service.text.request_encoder import TokenizedText
from service.text.tokenizer import Tokenizer

# How many ids before a token decide how it is joined to them.
JUNCTION = 32


class IncrementalDetokenizer(Protocol):
    text: str
    starts: list[int]

    @property
    def settled(self) -> int:
        """How many characters of the text no token to come can change."""

    def add(self, token: int) -> None: ...


def detokenizer_of(tokenizer: Tokenizer, prompt: Ids) -> IncrementalDetokenizer:
    return (
        SubwordDetokenizer(tokenizer) if tokenizer.subword else WordDetokenizer(tokenizer, prompt)
    )


def token_starts(tokenizer: Tokenizer, text: TokenizedText) -> list[int]:
    """Return the offset of each token in `text.text`, in code points."""
    if text.starts is not None:
        return text.starts
    encoding = tokenizer.encode(text.text)
    if np.array_equal(encoding.ids, text.ids):
        return encoding.starts
    return starts_in(text.text, tokenizer, text.ids)


def starts_in(text: str, tokenizer: Tokenizer, ids: Ids) -> list[int]:
    """Where each of any ids starts in the text that they decode to, in time linear in it."""
    if tokenizer.subword:
        return _starts_of_pieces(tokenizer, ids)
    end_id, entries = tokenizer.end_id, tokenizer.entries
    lengths = [1 if token == end_id else _solid(entries[token]) for token in ids.tolist()]
    before = np.cumsum([0, *lengths])[:-1]  # characters but spaces, which alone decoding changes
    characters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    places = np.append(np.flatnonzero(characters != ord(" ")), len(text))
    starts: list[int] = places[np.minimum(before, len(places) - 1)].tolist()
    return starts


def _starts_of_pieces(tokenizer: Tokenizer, ids: Ids) -> list[int]:
    spell, starts, length = Speller(tokenizer), [], 0
    for token in ids.tolist():
        broken, own = spell(token)
        starts.append(length + len(broken))
        length += len(broken) + len(own)
    return starts


class Speller:
    """What one token after another adds to a text: first `\ufffd` for a character that was begun
    and that it does not go on with, and then the characters that it completes.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._spellings = tokenizer.vocabulary.spellings
        self._end_id = tokenizer.end_id
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def begun(self) -> bytes:
        """The bytes of a character that is not complete yet."""
        return self._decoder.getstate()[0]

    @property
    def unfinished(self) -> bool:
        return bool(self.begun)

    def __call__(self, token: int) -> tuple[str, str]:
        spelling = b"\n" if token == self._end_id else self._spellings[token]
        broken = "" if _continues(spelling) else self._decoder.decode(b"", final=True)
        return broken, self._decoder.decode(spelling)


def _continues(spelling: bytes) -> bool:
    """Whether it begins with a byte that is never a character's first."""
    return 0x80 <= spelling[0] < 0xC0


class SubwordDetokenizer:
    """Of characters or pieces: what they spell in a row. A character of several tokens is `\ufffd`
    until its last byte came.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._spell = Speller(tokenizer)
        self._whole = ""
        self.starts: list[int] = []
        self.text = ""

    @property
    def settled(self) -> int:
        return len(self._whole)

    def add(self, token: int) -> None:
        broken, own = self._spell(token)
        self.starts.append(len(self._whole) + len(broken))
        self._whole += broken + own
        self.text = self._whole + ("\ufffd" if self._spell.unfinished else "")


class WordDetokenizer:
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
        at = len(self.starts)
        while at and self.starts[at - 1] > cut:  # only the last ones: they rise
            at -= 1
            self.starts[at] = _place(self.text, cut, _solid(old[cut : self.starts[at]]))
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
