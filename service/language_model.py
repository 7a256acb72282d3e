"""The whole use case without HTTP: texts in, figures out.

    Passage → Sequence → Batcher ⇒ worker thread: encoder, decoder ⇒ TextScore, NextTokens

Everything here is in tokens and nats. It knows no JSON, no status code and no onnxruntime.
"""

import asyncio
import logging
import secrets
from collections.abc import Sequence as Many
from functools import partial

import numpy as np

from service.bundle import Bundle
from service.distribution import NextTokens, Shape
from service.errors import InputTooLong, StartError
from service.inference.batcher import LANES, Batcher, LaneName, RunReport
from service.inference.cores import usable_cores
from service.inference.engine import Floats, OnnxEngine
from service.inference.prefix_cache import PrefixCache
from service.inference.sequence import UNSCORED, Sequence, run
from service.inference.state import StateCodec
from service.metrics import Metrics
from service.reader import Passage, Reader
from service.settings import Settings
from service.text_score import TextScore, text_score
from service.tokenizer import Ids, Tokenizer

MAX_TOP_TOKENS = 1_000_000
KEY_BYTES = 32

log = logging.getLogger(__name__)


class LanguageModel:
    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        """Loads the engine, starts its workers and warms them up. Raises StartError."""
        self.bundle = bundle
        self.settings = settings
        self.metrics = Metrics()
        self.threads = settings.threads or usable_cores()
        self.tokenizer = Tokenizer(bundle.contents["tokenizer.json"], bundle.manifest)
        self.read = Reader(self.tokenizer, self.metrics)
        self.engine = OnnxEngine(bundle)
        self.states = StateCodec(_state_key(settings), bundle.hash, self.engine.state_size)
        self._cache = PrefixCache(settings.prefix_cache_bytes)
        self._batcher: Batcher[Sequence] = Batcher(
            run=self._timed_run,
            threads=self.threads,
            max_batch_tokens=settings.max_batch_tokens,
            max_queue_tokens=settings.max_queue_tokens,
            request_timeout_seconds=settings.request_timeout,
            on_run=self._report,
        )
        self._warm_up()
        self._publish()

    def close(self) -> None:
        """Finish what is in flight and end the workers."""
        self._batcher.close()

    async def score(
        self,
        passages: Many[Passage],
        contexts: Many[Passage] | None = None,
        state: Floats | None = None,
        *,
        bos: bool = True,
        eos: bool = True,
        details: bool = False,
        top: int = 0,
        return_state: bool = False,
    ) -> list[TextScore]:
        """Score each passage, from the start of a text, after its context, or after a state.

        With `bos` and `eos`, context c and passage a b, the model reads and scores

            reads    <eos>  c   a   b
            scores          ·   a   b   <eos>

        With neither `bos` nor context nor state nothing stands before a, and it has no score.
        Raises InputTooLong, Overloaded, DeadlineExceeded.
        """
        suffix = self._end if eos else _ids()
        scored = [np.concatenate([passage.ids, suffix]) for passage in passages]
        lefts = self._lefts(contexts or [], bos and state is None)
        self._check_length(sum(map(len, scored)) + sum(map(len, lefts)), top)
        if contexts is not None:
            states = await self._after(lefts)
            starts = [(_ids(), after) for after in states]
        elif state is not None:
            starts = [(_ids(), state)] * len(passages)
        else:
            starts = [(self._end if bos else _ids(), None)] * len(passages)
        sequences = [
            self._scoring(lead, after, ids, details, top, return_state)
            for (lead, after), ids in zip(starts, scored, strict=True)
        ]
        await self._run(sequences, "bulk", admitted=contexts is not None)
        unknown = self.tokenizer.unknown_id
        return [
            text_score(passage, ids, s.decoded(), unknown, s.state if return_state else None)
            for passage, ids, s in zip(passages, scored, sequences, strict=True)
        ]

    async def next_token(
        self, context: Passage, shape: Shape, state: Floats | None = None, *, bos: bool = True
    ) -> tuple[NextTokens, Floats]:
        """The distribution of the word after `context`, and the state there. Raises as `score`."""
        left = self._lefts([context], bos and state is None)[0]
        self._check_length(len(left), 0)
        sequence = self._reading(left, state)
        sequence.shape = shape
        await self._run([sequence], "interactive")
        if state is None:
            self._remember(left, sequence)
        assert sequence.next_tokens is not None
        return sequence.next_tokens, sequence.state

    @property
    def _end(self) -> Ids:
        return _ids(self.tokenizer.end_id)

    def _lefts(self, contexts: Many[Passage], bos: bool) -> list[Ids]:
        prefix = self._end if bos else _ids()
        return [np.concatenate([prefix, context.ids]) for context in contexts]

    def _scoring(
        self,
        lead: Ids,
        state: Floats | None,
        scored: Ids,
        details: bool,
        top: int,
        return_state: bool,
    ) -> Sequence:
        """What reads `lead` and all but the last of `scored`; the last too for its state."""
        whole = np.concatenate([lead, scored])
        targets = whole[1:]
        if return_state:
            targets = np.append(targets, UNSCORED)
        follows_state = state is not None and len(scored) > 0
        return Sequence(
            inputs=whole[: len(targets)],
            targets=targets,
            state=self.engine.zero_state() if state is None else state,
            first_target=int(scored[0]) if follows_state else UNSCORED,
            details=details,
            top=top,
        )

    def _reading(self, left: Ids, state: Floats | None) -> Sequence:
        """What reads a context, from the longest beginning of it that the cache knows."""
        known = None
        if state is None and len(left):
            known = self._cache.find(left)
            (self.metrics.prefix_cache_hits if known else self.metrics.prefix_cache_misses).inc()
        length, start = known or (0, state)
        start = self.engine.zero_state() if start is None else start
        inputs = left[length:]
        return Sequence(inputs, np.full(len(inputs), UNSCORED), start, keep_states=state is None)

    async def _after(self, lefts: list[Ids]) -> list[Floats | None]:
        """The state after each context; equal ones are read once. None after nothing."""
        distinct = {left.tobytes(): left for left in lefts if len(left)}
        readings = {key: self._reading(left, None) for key, left in distinct.items()}
        await self._run(list(readings.values()), "bulk")
        for key, sequence in readings.items():
            self._remember(distinct[key], sequence)
        return [readings[left.tobytes()].state if len(left) else None for left in lefts]

    def _remember(self, left: Ids, sequence: Sequence) -> None:
        begun = len(left) - len(sequence.inputs)
        for position, state in sequence.states:
            self._cache.add(left[: begun + position], state)

    def _check_length(self, tokens: int, top: int) -> None:
        limit = self.settings.max_request_tokens
        if tokens > limit:
            raise InputTooLong(f"the request holds {tokens} tokens; at most {limit} are allowed")
        if tokens * (1 + top) > MAX_TOP_TOKENS:
            raise InputTooLong(
                f"tokens × (1 + top) is {tokens * (1 + top)}; at most {MAX_TOP_TOKENS} is allowed",
                "top",
            )

    async def _run(self, sequences: list[Sequence], lane: LaneName, admitted: bool = False) -> None:
        ticket = self._batcher.submit(sequences, lane, admitted)
        try:
            await asyncio.wrap_future(ticket.future)
        except asyncio.CancelledError:
            self._batcher.abandon(ticket)
            raise

    def _timed_run(self, sequences: list[Sequence], limit: int) -> None:
        timings = run(self.engine, sequences, limit)
        for stage in ("encode", "decode", "distribute"):
            self.metrics.inference_seconds.labels(stage).observe(getattr(timings, stage))

    def _report(self, report: RunReport) -> None:
        for seconds in report.waits:
            self.metrics.queue_seconds.labels(report.lane).observe(seconds)
        self.metrics.batch_tokens.observe(report.padded_tokens)
        self.metrics.batch_fill_ratio.observe(report.tokens / report.padded_tokens)

    def _publish(self) -> None:
        manifest = self.bundle.manifest
        self.metrics.bundle_info.labels(
            manifest.name, self.bundle.hash, manifest.precision, str(manifest.vocabulary_size)
        ).set(1)
        for lane in LANES:
            waiting = partial(self._batcher.waiting_tokens, lane)
            self.metrics.queue_tokens.labels(lane).set_function(waiting)

    def _warm_up(self) -> None:
        """Run the largest batch, and every worker, so that the first caller waits for nothing."""
        rows = max(1, self.settings.max_batch_tokens // 32)
        ids = np.zeros(32, np.int64)
        largest = [Sequence(ids, ids, self.engine.zero_state()) for _ in range(rows)]
        run(self.engine, largest, 32)
        for lane in LANES:
            for _ in range(8):
                several = [
                    Sequence(ids, ids, self.engine.zero_state(), shape=Shape(top_k=1))
                    for _ in range(8 * self.threads)
                ]
                self._batcher.submit(several, lane).future.result()


def _ids(*ids: int) -> Ids:
    return np.array(ids, np.int64)


def _state_key(settings: Settings) -> bytes:
    """Raises StartError for a key file that cannot be read, or is too short to be safe."""
    path = settings.state_key_file
    if path is None:
        log.info("no state key file: state handles hold until this process ends")
        return secrets.token_bytes(KEY_BYTES)
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise StartError(f"--state-key-file {path}: {error.strerror}") from None
    if len(key) < KEY_BYTES:
        raise StartError(f"--state-key-file {path}: {len(key)} bytes; at least {KEY_BYTES} needed")
    return key
