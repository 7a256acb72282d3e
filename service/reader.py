"""Requests' texts → passages of ids: tokenizing, checking ids, single-token candidates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.errors import InvalidRequest, UnknownToken
from service.inference.engine import SoftTarget
from service.long_work import LongWork
from service.metrics import Metrics, timed
from service.tokenizer import Ids, Tokenizer

# Shorter texts are tokenized where they are; longer ones would hold up the event loop.
INLINE_CHARACTERS = 4096
INLINE_IDS = 1024
TOTAL_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Passage:
    """A text and its ids. `starts` and `ends` are offsets into `text` in code points; None where
    ids were given and the text is what they decode to. `words` stand between white space.
    """

    text: str
    ids: Ids
    starts: list[int] | None
    ends: list[int] | None
    words: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word as it was asked for, and its one token."""

    text: str
    id: int
    oov: bool


class Reader:
    def __init__(self, tokenizer: Tokenizer, metrics: Metrics, long_work: LongWork) -> None:
        self._tokenizer = tokenizer
        self._metrics = metrics
        self._long_work = long_work

    async def texts(self, texts: Sequence[str]) -> list[Passage]:
        """Tokenize."""

        def read() -> list[Passage]:
            return [self._read(text) for text in texts]

        with timed(self._metrics.tokenize_seconds):
            if sum(map(len, texts)) <= INLINE_CHARACTERS:
                return read()
            return await self._long_work.run(read)

    async def ids(self, ids: Sequence[int], param: str) -> Passage:
        """Detokenize. Raises UnknownToken for an id out of range in the field `param`."""
        if len(ids) <= INLINE_IDS:
            return self._read_ids(ids, param)
        return await self._long_work.run(lambda: self._read_ids(ids, param))

    async def id_lists(self, lists: Sequence[Sequence[int]], param: str) -> list[Passage]:
        """Detokenize each. Raises UnknownToken for an id out of range in the field `param`."""

        def read() -> list[Passage]:
            return [self._read_ids(ids, f"{param}.{index}") for index, ids in enumerate(lists)]

        short = sum(map(len, lists)) <= INLINE_IDS
        return read() if short else await self._long_work.run(read)

    def _read_ids(self, ids: Sequence[int], param: str) -> Passage:
        size = self._tokenizer.vocabulary_size
        for position, token in enumerate(ids):
            if not 0 <= token < size:
                raise UnknownToken(f"ids are 0 to {size - 1}", f"{param}.{position}")
        array = np.array(ids, np.int64)
        text = self._tokenizer.decode(array)
        return Passage(text, array, None, None, len(text.split()))

    async def candidates(self, words: Sequence[str]) -> list[Candidate]:
        """Each word's one token. Raises UnknownToken for a word that is none or several."""

        def read() -> list[Candidate]:
            return [self._candidate(word, index) for index, word in enumerate(words)]

        short = sum(map(len, words)) <= INLINE_CHARACTERS
        return read() if short else await self._long_work.run(read)

    def _candidate(self, word: str, index: int) -> Candidate:
        ids = self._tokenizer.word_ids(word)
        if len(ids) != 1:
            message = f"this candidate is {len(ids)} tokens; it must be exactly one"
            raise UnknownToken(message, f"candidates.{index}")
        return Candidate(word, ids[0], ids[0] == self._tokenizer.unknown_id)

    def soft_target(self, distribution: Mapping[str, float], param: str) -> SoftTarget:
        """Words and probabilities → ids and probabilities.

        Raises UnknownToken for a word that is not one token of the vocabulary, InvalidRequest for
        probabilities that are negative or do not sum to 1 within 1e-6.
        """
        ids: list[int] = []
        for word in distribution:
            found = self._tokenizer.word_ids(word)
            known = len(found) == 1 and (
                found[0] != self._tokenizer.unknown_id or word == self._unknown_word
            )
            if not known:
                raise UnknownToken("a word of this distribution is not in the vocabulary", param)
            ids += found
        probabilities = np.array(list(distribution.values()), np.float64)
        total = math.fsum(distribution.values())
        if abs(total - 1) > TOTAL_TOLERANCE or (probabilities < 0).any():
            raise InvalidRequest(f"probabilities must be ≥ 0 and sum to 1, not {total:.6g}", param)
        return np.array(ids, np.int64), probabilities

    @property
    def _unknown_word(self) -> str | None:
        unknown = self._tokenizer.unknown_id
        return None if unknown is None else self._tokenizer.entries[unknown]

    def _read(self, text: str) -> Passage:
        encoding = self._tokenizer.encode(text)
        return Passage(text, encoding.ids, encoding.starts, encoding.ends, len(text.split()))
