"""Incremental detokenizers: the text of generated tokens, and where each token starts in it."""

from os.path import commonprefix
from typing import Protocol

import numpy as np

from service.arrays import Ids
from service.text.speller import Speller
from service.text.token_starts import count_non_spaces
from service.text.tokenizer import Tokenizer

# The ids before a token that may decide how it is joined to them.
CONTEXT_IDS = 32


class IncrementalDetokenizer(Protocol):
    """The text of tokens that follow a prompt. `starts` are offsets in `text`, in code points."""

    text: str
    starts: list[int]

    @property
    def stable_length(self) -> int:
        """The number of characters of `text` that no further token can change."""

    def add(self, token: int) -> None:
        """Append a token to the text."""


def detokenizer_of(tokenizer: Tokenizer, prompt: Ids) -> IncrementalDetokenizer:
    """Return the detokenizer of tokens that follow a prompt of ids (n,)."""
    if tokenizer.subword:
        return SubwordDetokenizer(tokenizer)
    return WordDetokenizer(tokenizer, prompt)


class SubwordDetokenizer:
    """The detokenizer of characters and subwords, which concatenates their spellings. A character
    of several tokens is `\ufffd` until it is complete.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._speller = Speller(tokenizer)
        self._complete = ""
        self.starts: list[int] = []
        self.text = ""

    @property
    def stable_length(self) -> int:
        return len(self._complete)

    def add(self, token: int) -> None:
        broken, added = self._speller.spell(token)
        self.starts.append(len(self._complete) + len(broken))
        self._complete += broken + added
        self.text = self._complete + ("\ufffd" if self._speller.pending_bytes else "")


class WordDetokenizer:
    """The detokenizer of whole words. A word may change the space before the preceding one: `well`
    `-` is the text `well -`, and with `known` it becomes `well-known`. The prompt itself never
    changes.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Ids) -> None:
        self._tokenizer = tokenizer
        self._last_ids = prompt[-CONTEXT_IDS:]
        self.starts: list[int] = []
        self.text = ""

    @property
    def stable_length(self) -> int:
        if not self.starts or self.text[-1:].isalnum():
            return len(self.text)
        return len(self.text[: self.starts[-1]].rstrip(" "))

    def add(self, token: int) -> None:
        ids = np.append(self._last_ids, token)
        before, after = self._tokenizer.decode(self._last_ids), self._tokenizer.decode(ids)
        self._last_ids = ids[-CONTEXT_IDS:]
        unchanged = len(commonprefix([before, after]))  # noqa: RUF071  # texts, not paths
        kept = len(self.text) - (len(before) - unchanged)
        if kept < 0:  # the end of the prompt would change
            kept, added = len(self.text), " " + self._tokenizer.decode(ids[-1:])
        else:
            added = after[unchanged:]
        replaced, self.text = self.text[kept:], self.text[:kept] + added
        self._move_starts(kept, replaced)
        self.starts.append(_skip_non_spaces(self.text, kept, count_non_spaces(replaced)))

    def _move_starts(self, kept: int, replaced: str) -> None:
        """Correct the starts of tokens behind `kept`, where `replaced` stood. Starts never fall, so
        that only the last ones can change.
        """
        at = len(self.starts)
        while at and self.starts[at - 1] > kept:
            at -= 1
            skipped = count_non_spaces(replaced[: self.starts[at] - kept])
            self.starts[at] = _skip_non_spaces(self.text, kept, skipped)


def _skip_non_spaces(text: str, begin: int, count: int) -> int:
    """Return the position of the first non-space after `count` others from `begin` on."""
    for at in range(begin, len(text)):
        if text[at] != " ":
            if count == 0:
                return at
            count -= 1
    return len(text)
