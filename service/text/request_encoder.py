"""Encode the texts of requests, check the ids of requests, and look up words."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from service.arrays import Priority, SoftTarget
from service.limits import check_token_count, name_field
from service.runtime.background_thread import (
    SECONDS_PER_CHARACTER,
    SECONDS_PER_TOKEN,
    BackgroundThread,
)
from service.runtime.metrics import Metrics, timed
from service.text.soft_targets import Distributions, encode_distribution
from service.text.tokenized_text import (
    Candidate,
    TokenizedText,
    detokenize,
    find_candidate,
    tokenize,
)
from service.text.tokenizer import Tokenizer

# Shorter inputs are processed on the event loop, because they take about 2 ms at most; longer ones
# in the background thread.
INLINE_CHARACTERS = 4096
INLINE_IDS = 1024
# Looking up a word takes as long as tokenizing this many characters.
CHARACTERS_PER_WORD = 16

T = TypeVar("T")


class RequestEncoder:
    """The encoder of texts, ids and words.

    Long inputs wait for the background thread. All coroutines raise Overloaded if the expected wait
    is too long, and DeadlineExceeded if the wait was.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        metrics: Metrics,
        background_thread: BackgroundThread,
        max_tokens: int,
    ) -> None:
        """`max_tokens`: the number of tokens that a request may hold."""
        self._tokenizer = tokenizer
        self._metrics = metrics
        self._background_thread = background_thread
        self._max_tokens = max_tokens

    async def encode_texts(
        self, texts: Sequence[str], param: str | None = None, priority: Priority = "bulk"
    ) -> list[TokenizedText]:
        """Tokenize texts. Raises InputTooLong, which names the field `param`, as soon as there are
        too many tokens.
        """

        def encode() -> list[TokenizedText]:
            encoded, tokens = [], 0
            for text in texts:
                encoded.append(tokenize(self._tokenizer, text, self._max_tokens))
                tokens += len(encoded[-1].ids)
                check_token_count(tokens, self._max_tokens)
            return encoded

        with timed(self._metrics.tokenize_seconds), name_field(param):
            return await self._run(encode, sum(map(len, texts)), priority)

    async def decode_ids(
        self, ids: Sequence[int], param: str, priority: Priority = "bulk"
    ) -> TokenizedText:
        """Detokenize ids of the field `param`. Raises as `decode_id_lists` does."""
        with name_field(param):
            (decoded,) = await self._decode([ids], lambda _: param, priority)
        return decoded

    async def decode_id_lists(
        self, lists: Sequence[Sequence[int]], param: str, priority: Priority = "bulk"
    ) -> list[TokenizedText]:
        """Detokenize lists of ids of the field `param`.

        Raises InputTooLong if there are too many ids, else UnknownToken for an id out of range.
        """
        with name_field(param):
            return await self._decode(lists, lambda index: f"{param}.{index}", priority)

    async def _decode(
        self, lists: Sequence[Sequence[int]], param: Callable[[int], str], priority: Priority
    ) -> list[TokenizedText]:
        count = sum(map(len, lists))
        check_token_count(count, self._max_tokens)

        def decode() -> list[TokenizedText]:
            return [
                detokenize(self._tokenizer, ids, param(index)) for index, ids in enumerate(lists)
            ]

        if count + len(lists) <= INLINE_IDS:
            return decode()
        seconds = (count + len(lists)) * SECONDS_PER_TOKEN
        return await self._background_thread.run(decode, seconds, priority=priority)

    async def find_candidates(self, words: Sequence[str]) -> list[Candidate]:
        """Look up the field `candidates`. Raises UnknownToken unless each is exactly one token."""

        def find() -> list[Candidate]:
            return [
                find_candidate(self._tokenizer, word, f"candidates.{index}")
                for index, word in enumerate(words)
            ]

        return await self._run(find, sum(map(len, words)), "interactive")

    async def encode_targets(self, targets: Sequence[Distributions]) -> list[list[SoftTarget]]:
        """Encode the distributions of each text, from the field `targets`. Raises as
        `encode_distribution` does.
        """

        def encode() -> list[list[SoftTarget]]:
            return [
                [
                    encode_distribution(
                        self._tokenizer, distribution, self._max_tokens, f"targets.{text}.{at}"
                    )
                    for at, distribution in enumerate(distributions)
                ]
                for text, distributions in enumerate(targets)
            ]

        words = [word for distributions in targets for p in distributions for word in p]
        look_ups = len(words) + sum(map(len, targets))  # an array takes as long as a word
        characters = sum(map(len, words)) + CHARACTERS_PER_WORD * look_ups
        return await self._run(encode, characters, "bulk")

    async def _run(self, work: Callable[[], T], characters: int, priority: Priority) -> T:
        """Run `work` here if the text is short, otherwise in the background thread."""
        if characters <= INLINE_CHARACTERS:
            return work()
        seconds = characters * SECONDS_PER_CHARACTER
        return await self._background_thread.run(work, seconds, priority=priority)
