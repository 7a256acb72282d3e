"""The whole use case without HTTP: texts in, figures out.

    text → Tokenizer.encode → Sequence → Batcher ⇒ worker: encoder, decoder ⇒ TextScore

Everything here is in tokens and nats. It knows no JSON, no status code and no onnxruntime.
"""

import asyncio
from collections.abc import Sequence as Many
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.bundle import Bundle
from service.distribution import NextTokens, Shape
from service.errors import InputTooLong, UnknownToken
from service.inference.batcher import Batcher, LaneName
from service.inference.cores import usable_cores
from service.inference.engine import OnnxEngine
from service.inference.sequence import UNSCORED, Sequence, run
from service.scoring import Totals
from service.settings import Settings
from service.tokenizer import Ids, Tokenizer

# Shorter work is done where it is; longer work would hold up the event loop.
INLINE_CHARACTERS = 4096
MAX_TOP_TOKENS = 1_000_000


@dataclass(frozen=True, slots=True)
class Passage:
    """A text and its ids. `starts` and `ends` are offsets into `text` in code points; None where
    ids were given and the text is what they decode to.
    """

    text: str
    ids: Ids
    starts: list[int] | None
    ends: list[int] | None


@dataclass(frozen=True, slots=True)
class TextScore:
    """Figures of one text's tokens, the scored `<eos>` included; n tokens, all arrays (n, …).

    `logprobs` are natural; NaN for a first token that nothing stands before.
    """

    ids: Ids
    starts: list[int] | None
    ends: list[int] | None
    oov: NDArray[np.bool_]
    logprobs: NDArray[np.float64]
    totals: Totals
    top_ids: Ids | None = None
    top_logprobs: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    text: str
    id: int
    oov: bool


class LanguageModel:
    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        """Loads the engine, starts its workers and warms them up with the largest batch.

        Raises BundleError.
        """
        self.bundle = bundle
        self.settings = settings
        self.threads = settings.threads or usable_cores()
        self.tokenizer = Tokenizer(bundle.contents["tokenizer.json"], bundle.manifest)
        self.engine = OnnxEngine(bundle)
        self._batcher: Batcher[Sequence] = Batcher(
            run=lambda sequences, limit: run(self.engine, sequences, limit),
            threads=self.threads,
            max_batch_tokens=settings.max_batch_tokens,
            max_queue_tokens=settings.max_queue_tokens,
            request_timeout_seconds=settings.request_timeout,
        )
        self._warm_up()

    def close(self) -> None:
        """Finish what is in flight and end the workers."""
        self._batcher.close()

    async def read(self, texts: Many[str]) -> list[Passage]:
        """Tokenize texts; long ones in a thread."""
        if sum(map(len, texts)) <= INLINE_CHARACTERS:
            return [self._read(text) for text in texts]
        return await asyncio.to_thread(lambda: [self._read(text) for text in texts])

    def read_ids(self, token_ids: Many[Many[int]]) -> list[Passage]:
        """Raises UnknownToken for an id outside the vocabulary."""
        passages = []
        for index, ids in enumerate(token_ids):
            array = self._checked_ids(ids, f"token_ids.{index}")
            passages.append(Passage(self.tokenizer.decode(array), array, None, None))
        return passages

    async def score(
        self,
        passages: Many[Passage],
        contexts: Many[Passage] | None = None,
        *,
        bos: bool = True,
        eos: bool = True,
        top: int = 0,
    ) -> list[TextScore]:
        """Score each passage after its context. Raises InputTooLong, Overloaded, DeadlineExceeded.

        With `bos` and `eos`, context c and passage a b, the model reads and scores

            reads    <eos>  c   a   b
            scores          ·   a   b   <eos>

        Without `bos` nothing stands before c, or before a when there is no c: a has no score then.
        """
        end = np.array([self.tokenizer.end_id], np.int64)
        none = np.empty(0, np.int64)
        prefix, suffix = end if bos else none, end if eos else none
        scored = [np.concatenate([passage.ids, suffix]) for passage in passages]
        lefts = (
            [np.concatenate([prefix, context.ids]) for context in contexts]
            if contexts
            else [prefix] * len(passages)
        )
        self._check_length(sum(map(len, scored)) + sum(map(len, lefts)), top)
        state = self.engine.zero_state()
        sequences = [
            self._sequence(left, ids, state, top) for left, ids in zip(lefts, scored, strict=True)
        ]
        await self._run([s for s in sequences if s.remaining], "bulk")
        return [
            self._result(passage, ids, sequence)
            for passage, ids, sequence in zip(passages, scored, sequences, strict=True)
        ]

    async def next_token(self, context: Passage | None, bos: bool, shape: Shape) -> NextTokens:
        """The distribution of the word after `context`. Raises as `score` does."""
        prefix = [self.tokenizer.end_id] if bos else []
        before = np.concatenate([np.array(prefix, np.int64), context.ids if context else []])
        before = before.astype(np.int64)
        self._check_length(len(before), 0)
        sequence = Sequence(
            before, np.full_like(before, UNSCORED), self.engine.zero_state(), shape=shape
        )
        await self._run([sequence], "interactive")
        assert sequence.next_tokens is not None
        return sequence.next_tokens

    def candidates(self, words: Many[str]) -> list[Candidate]:
        """Each word's one token. Raises UnknownToken for a word that is none or several."""
        found = []
        for index, word in enumerate(words):
            ids = self.tokenizer.encode(word).ids
            if len(ids) != 1:
                raise UnknownToken(
                    f"candidate {index} is {len(ids)} tokens; a candidate must be exactly one",
                    f"candidates.{index}",
                )
            token = int(ids[0])
            found.append(Candidate(word, token, token == self.tokenizer.unknown_id))
        return found

    def _read(self, text: str) -> Passage:
        encoding = self.tokenizer.encode(text)
        return Passage(text, encoding.ids, encoding.starts, encoding.ends)

    def _checked_ids(self, ids: Many[int], where: str) -> Ids:
        size = self.tokenizer.vocabulary_size
        for position, token in enumerate(ids):
            if not 0 <= token < size:
                raise UnknownToken(
                    f"token id out of range; ids are 0 to {size - 1}", f"{where}.{position}"
                )
        return np.array(ids, np.int64)

    def _check_length(self, tokens: int, top: int) -> None:
        limit = self.settings.max_request_tokens
        if tokens > limit:
            raise InputTooLong(f"the request holds {tokens} tokens; at most {limit} are allowed")
        if tokens * (1 + top) > MAX_TOP_TOKENS:
            raise InputTooLong(
                f"tokens × (1 + top) is {tokens * (1 + top)}; at most {MAX_TOP_TOKENS} is allowed",
                "top",
            )

    @staticmethod
    def _sequence(left: Ids, scored: Ids, state: NDArray[np.float32], top: int) -> Sequence:
        whole = np.concatenate([left, scored])
        targets = whole[1:].copy()
        targets[: max(0, len(left) - 1)] = UNSCORED
        return Sequence(whole[:-1], targets, state, top=top)

    async def _run(self, sequences: list[Sequence], lane: LaneName) -> None:
        ticket = self._batcher.submit(sequences, lane)
        try:
            await asyncio.wrap_future(ticket.future)
        except asyncio.CancelledError:
            self._batcher.abandon(ticket)
            raise

    def _result(self, passage: Passage, ids: Ids, sequence: Sequence) -> TextScore:
        decoded = sequence.decoded()
        logprobs = decoded.logprobs.astype(np.float64)
        top_ids, top_logprobs = decoded.top_ids, decoded.top_logprobs
        unscored = len(ids) - len(logprobs)
        if unscored:
            logprobs = np.concatenate([np.full(unscored, np.nan), logprobs])
        oov = ids == (-1 if self.tokenizer.unknown_id is None else self.tokenizer.unknown_id)
        counted = oov[unscored:]
        length = len(passage.text)
        ends_text = len(ids) > len(passage.ids)
        starts, ends = passage.starts, passage.ends
        if starts is not None and ends is not None and ends_text:
            starts, ends = [*starts, length], [*ends, length]
        return TextScore(
            ids=ids,
            starts=starts,
            ends=ends,
            oov=oov,
            logprobs=logprobs,
            totals=Totals(
                nats=-float(logprobs[unscored:].sum()),
                tokens=len(ids) - unscored,
                oov_nats=-float(logprobs[unscored:][counted].sum()),
                oov_tokens=int(counted.sum()),
                bytes=len(passage.text.encode()),
                characters=length,
                words=len(passage.text.split()),
            ),
            top_ids=top_ids,
            top_logprobs=None if top_logprobs is None else top_logprobs.astype(np.float64),
        )

    def _warm_up(self) -> None:
        """Run the largest batch on every thread, so that the first caller waits for nothing."""
        rows = max(1, self.settings.max_batch_tokens // 32)
        for _ in range(2):
            ids = np.zeros(32, np.int64)
            sequences = [Sequence(ids, ids, self.engine.zero_state()) for _ in range(rows)]
            self._batcher.submit(sequences, "bulk").future.result()
            shape = Shape(top_k=1)
            for _ in range(self.threads):
                one = Sequence(ids[:1], ids[:1], self.engine.zero_state(), shape=shape)
                self._batcher.submit([one], "interactive").future.result()
