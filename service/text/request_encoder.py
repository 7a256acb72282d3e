"""Requests' texts → passages of ids: tokenizing, checking ids, single-token candidates."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from service.arrays import Ids, Priority, SoftTarget
from service.errors import InvalidRequest, UnknownToken
from service.limits import blamed, check_count
from service.runtime.background_thread import (
    SECONDS_PER_CHARACTER,
    SECONDS_PER_TOKEN,
    BackgroundThread,
)
from service.runtime.metrics import Metrics, timed
from service.text.tokenizer import Tokenizer

# Shorter texts are tokenized where they are; longer ones would hold up the event loop.
INLINE_CHARACTERS = 4096
INLINE_IDS = 1024
CHARACTERS_OF_A_LOOK_UP = 16
TOTAL_TOLERANCE = 1e-6

Distributions = Sequence[Mapping[str, float]]  # words and their probabilities

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text and its ids. `starts` and `ends` are offsets into `text` in code points; None where
    ids were given and the text is what they decode to. `words` stand between white space.
    `first_end` is where the first token ends, unless the next one is of the same character.
    """

    text: str
    ids: Ids
    starts: list[int] | None
    ends: list[int] | None
    words: int
    first_end: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word as it was asked for, and its one token."""

    text: str
    id: int
    oov: bool


class RequestEncoder:
    """What is long waits for its turn: all that is asynchronous here raises Overloaded where that
    would take too long, and DeadlineExceeded.
    """

    def __init__(
        self, tokenizer: Tokenizer, metrics: Metrics, long_work: BackgroundThread, max_tokens: int
    ) -> None:
        """`max_tokens` are those of a request."""
        self._tokenizer = tokenizer
        self._metrics = metrics
        self._long_work = long_work
        self._max_tokens = max_tokens

    async def texts(
        self, texts: Sequence[str], param: str | None = None, lane: Priority = "bulk"
    ) -> list[TokenizedText]:
        """Tokenize. Raises InputTooLong, of the field `param`, as soon as there are too many
        tokens.
        """

        def read() -> list[TokenizedText]:
            passages, tokens = [], 0
            for text in texts:
                passages.append(self._read(text))
                tokens += len(passages[-1].ids)
                check_count(tokens, self._max_tokens)
            return passages

        with timed(self._metrics.tokenize_seconds), blamed(param):
            return await self._run(read, sum(map(len, texts)), lane)

    async def ids(self, ids: Sequence[int], param: str, lane: Priority = "bulk") -> TokenizedText:
        """Detokenize. Raises as `id_lists`, of the field `param`."""
        with blamed(param):
            (passage,) = await self._id_lists([ids], lambda _: param, lane)
        return passage

    async def id_lists(
        self, lists: Sequence[Sequence[int]], param: str, lane: Priority = "bulk"
    ) -> list[TokenizedText]:
        """Detokenize each. Raises InputTooLong before any is looked at, and UnknownToken for an id
        out of range in a list of the field `param`.
        """
        with blamed(param):
            return await self._id_lists(lists, lambda index: f"{param}.{index}", lane)

    async def _id_lists(
        self, lists: Sequence[Sequence[int]], param: Callable[[int], str], lane: Priority
    ) -> list[TokenizedText]:
        count = sum(map(len, lists))
        check_count(count, self._max_tokens)

        def read() -> list[TokenizedText]:
            return [self._read_ids(ids, param(index)) for index, ids in enumerate(lists)]

        if count + len(lists) <= INLINE_IDS:
            return read()
        seconds = (count + len(lists)) * SECONDS_PER_TOKEN
        return await self._long_work.run(read, seconds, priority=lane)

    async def _run(self, work: Callable[[], T], characters: int, lane: Priority) -> T:
        """Run inline if the text is short, otherwise in the background thread."""
        if characters <= INLINE_CHARACTERS:
            return work()
        seconds = characters * SECONDS_PER_CHARACTER
        return await self._long_work.run(work, seconds, priority=lane)

    def _read_ids(self, ids: Sequence[int], param: str) -> TokenizedText:
        size = self._tokenizer.vocabulary_size
        for position, token in enumerate(ids):
            if not 0 <= token < size:
                raise UnknownToken(f"ids are 0 to {size - 1}", f"{param}.{position}")
        array = np.array(ids, np.int64)
        text = self._tokenizer.decode(array)
        first = self._tokenizer.decode(array[:1])
        first_end = len(first) if text.startswith(first) else 0
        return TokenizedText(text, array, None, None, len(text.split()), first_end)

    async def candidates(self, words: Sequence[str]) -> list[Candidate]:
        """Each word's one token. Raises UnknownToken for a word that is none or several."""

        def read() -> list[Candidate]:
            return [self._candidate(word, index) for index, word in enumerate(words)]

        return await self._run(read, sum(map(len, words)), "interactive")

    def _candidate(self, word: str, index: int) -> Candidate:
        ids = self._tokenizer.word_ids(word)
        if len(ids) != 1:
            message = f"this candidate is {len(ids)} tokens; it must be exactly one"
            raise UnknownToken(message, f"candidates.{index}")
        return Candidate(word, ids[0], ids[0] == self._tokenizer.unknown_id)

    async def soft_targets(self, targets: Sequence[Distributions]) -> list[list[SoftTarget]]:
        """Of each text the distributions as ids and probabilities. Raises as `_soft_target`."""

        def read() -> list[list[SoftTarget]]:
            return [
                [self._soft_target(p, f"targets.{text}.{at}") for at, p in enumerate(distributions)]
                for text, distributions in enumerate(targets)
            ]

        # Looking up a word, and beginning an array, takes as long as some characters.
        words = [word for distributions in targets for p in distributions for word in p]
        count = len(words) + sum(map(len, targets))
        return await self._run(read, sum(map(len, words)) + CHARACTERS_OF_A_LOOK_UP * count, "bulk")

    def _soft_target(self, distribution: Mapping[str, float], param: str) -> SoftTarget:
        """Words and probabilities → ids and probabilities.

        Raises UnknownToken for a word that is not one token of the vocabulary, InvalidRequest for
        probabilities that are negative or do not sum to 1 within 1e-6.
        """
        ids: list[int] = []
        for word in distribution:
            with blamed(param):
                found = self._tokenizer.word_ids(word, self._max_tokens)
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

    def _read(self, text: str) -> TokenizedText:
        encoding = self._tokenizer.encode(text, self._max_tokens)
        starts, ends = encoding.starts, encoding.ends
        first_end = min([*ends[:1], *starts[1:2]], default=0)
        return TokenizedText(text, encoding.ids, starts, ends, len(text.split()), first_end)
