"""The whole use case without HTTP: texts in, figures out.

    TokenizedText → InferenceTask → EngineRunner
        ⇒ worker thread: encoder, decoder ⇒ TextScore, NextTokens

Everything here is in tokens and nats. It knows no JSON, no status code and no onnxruntime.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.arrays import PRIORITIES, CacheSettings, Floats, Ids, SoftTarget
from service.bundle import Bundle
from service.errors import InputTooLong
from service.inference.admission import Admission
from service.inference.context_encoder import ContextEncoder, context_keys
from service.inference.engine_runner import EngineRunner
from service.inference.neural_cache import NeuralCache
from service.inference.prefix_tree import score_prefix_tree
from service.inference.scheduler import Scheduler
from service.inference.state_handle import StateCodec
from service.inference.task import InferenceTask
from service.limits import check_positions, check_targets, check_top
from service.results.calibration import read_calibrations
from service.results.distribution import DistributionOptions, NextTokens, next_token_distribution
from service.results.text_score import TextScore, scoring_task, text_score
from service.runtime.background_thread import BackgroundThread
from service.runtime.cpu_count import usable_cores
from service.runtime.metrics import Metrics
from service.settings import Settings
from service.text.request_encoder import Distributions, RequestEncoder, TokenizedText
from service.text.tokenizer import Tokenizer

T = TypeVar("T")


class LanguageModel:
    def __init__(
        self,
        bundle: Bundle,
        settings: Settings,
        metrics: Metrics | None = None,
        state_key: bytes | None = None,
    ) -> None:
        """Loads the engine, starts its workers and warms them up. Raises StartError."""
        self.bundle = bundle
        self.settings = settings
        self.calibrations = read_calibrations(
            settings.calibration, bundle.manifest.name, bundle.hash
        )
        self.started = int(time.time())  # seconds since 1970
        self.metrics = metrics or Metrics()
        self.threads = settings.threads or usable_cores()
        self.tokenizer = Tokenizer(bundle.contents["tokenizer.json"], bundle.manifest)
        scheduler: Scheduler[InferenceTask] = Scheduler(settings.max_batch_tokens)
        self.admission = Admission(
            scheduler,
            threads=self.threads,
            wait_limits=settings.wait_limits,
            max_queue_tokens=settings.max_queue_tokens,
            max_body_bytes=settings.max_body_bytes,
            request_timeout_seconds=settings.request_timeout,
            on_wait=self.metrics.admission_seconds.observe,
        )
        self.background_thread = BackgroundThread(
            self.admission.check_tokenizing, settings.request_timeout
        )
        self.encoder = RequestEncoder(
            self.tokenizer, self.metrics, self.background_thread, settings.max_request_tokens
        )
        self._state_key = state_key or settings.state_key()
        self._runner = EngineRunner(
            bundle,
            self.metrics,
            scheduler,
            self.admission,
            threads=self.threads,
            request_timeout_seconds=settings.request_timeout,
        )
        self.engine = self._runner.engine
        self.states = StateCodec(self._state_key, bundle.hash, self.engine.state_size)
        self.contexts = ContextEncoder(self._runner, self.metrics, settings.prefix_cache_bytes)
        self._end = _ids(self.tokenizer.end_id)

    def reload_from(self, bundle: Bundle) -> "LanguageModel":
        """A model of another bundle beside this one, with its settings, metrics and state key.

        Raises StartError, and leaves this one as it is.
        """
        return LanguageModel(bundle, self.settings, self.metrics, self._state_key)

    def close(self) -> None:
        """Finish what is in flight and end the workers."""
        self._runner.close()
        self.background_thread.close()

    async def score(
        self,
        passages: Sequence[TokenizedText],
        contexts: Sequence[TokenizedText] | None = None,
        state: Floats | None = None,
        *,
        bos: bool = True,
        eos: bool = True,
        details: bool = False,
        top: int = 0,
        targets: Sequence[Distributions] | None = None,
        cache: CacheSettings | None = None,
        return_state: bool = False,
        admitted: bool = True,
    ) -> list[TextScore]:
        """Score each passage, from the start of a text, after its context, or after a state.

        With `bos` and `eos`, context c and passage a b, the model reads and scores

            reads    <eos>  c   a   b
            scores          ·   a   b   <eos>

        With neither `bos` nor context nor state nothing stands before a, and it has no score.
        `targets` gives, for each passage, a distribution over words for each of its scored
        positions. With `cache`, words of the passage itself become likelier where it is like their
        places. What was not `admitted` by `Admission` is refused where the queue is full.
        Raises InputTooLong, InvalidRequest, UnknownToken, Overloaded, DeadlineExceeded.
        """
        prefix = self._end if bos and state is None else _ids()
        scored = [np.concatenate([p.ids, self._end]) if eos else p.ids for p in passages]
        lefts = _lefts(prefix, contexts or [])
        read = dict(
            zip(context_keys(lefts), map(len, lefts), strict=True)
        )  # each distinct one once
        tokens = sum(map(len, scored))
        self._check_length(tokens + sum(read.values()))
        check_top(tokens, top)
        if cache is not None:
            check_positions(cache.window, scored)
        soft: Sequence[list[SoftTarget] | None] = [None] * len(passages)
        if targets is not None:
            before = lefts or [prefix] * len(passages)
            begun = [state is not None or len(left) > 0 for left in before]
            check_targets(targets, scored, begun)
            soft = await self.encoder.soft_targets(targets)
        starts: Sequence[Floats | None] = [state] * len(passages)
        if contexts is not None:
            starts, prefix = await self.contexts.states_after(lefts), _ids()
        zero_state = self.engine.zero_state()
        sequences = [
            scoring_task(prefix, start, ids, zero_state, to_its_end=return_state)
            for start, ids in zip(starts, scored, strict=True)
        ]
        for sequence, wanted in zip(sequences, soft, strict=True):
            sequence.details, sequence.top, sequence.soft_targets = details, top, wanted
            if cache is not None:
                own = cache.within(len(sequence.inputs))
                sequence.cache = NeuralCache(own, self.engine.embedding_size)
        await self._runner.run(sequences, "bulk", admitted=admitted)
        unknown = self.tokenizer.unknown_id
        return [
            text_score(passage, ids, s.decoded(), unknown, s.state if return_state else None)
            for passage, ids, s in zip(passages, scored, sequences, strict=True)
        ]

    async def next_token(
        self,
        context: TokenizedText,
        shape: DistributionOptions,
        state: Floats | None = None,
        *,
        bos: bool = True,
    ) -> tuple[NextTokens, Floats]:
        """The distribution of the word after `context`, and the state there. Raises as `score`."""
        return await self.ask(
            context.ids, partial(next_token_distribution, shape=shape), state, bos=bos
        )

    async def ask(
        self,
        context: Ids,
        question: Callable[[Floats], T],
        state: Floats | None = None,
        *,
        bos: bool = True,
        admitted: bool = False,
    ) -> tuple[T, Floats]:
        """What `question` says of the log-probabilities (V,) after `context`, and the state there.

        It is called in a worker thread, so that the row never leaves it. What is part of a request
        that was `admitted` is never Overloaded; else raises as `score`.
        """
        left = np.concatenate([self._end if bos and state is None else _ids(), context])
        self._check_length(len(left))
        return await self.contexts.distribution_after(left, question, state, admitted)

    async def states_after(
        self, contexts: Sequence[TokenizedText], *, bos: bool = True
    ) -> list[Floats]:
        """The state after each context, equal ones read once. Raises as `score`."""
        prefix = self._end if bos else _ids()
        lefts = [np.concatenate([prefix, context.ids]) for context in contexts]
        self._check_length(sum(map(len, lefts)))
        states = await self.contexts.states_after(lefts, "interactive")
        return [self.engine.zero_state() if state is None else state for state in states]

    async def rescore(
        self, hypotheses: Sequence[TokenizedText], context: TokenizedText | None = None
    ) -> list[NDArray[np.float64]]:
        """Log-probabilities of each hypothesis' tokens and its `<eos>`, as `score` gives them;
        beginnings that hypotheses share are read once. Raises as `score` does.
        """
        ids = [np.concatenate([hypothesis.ids, self._end]) for hypothesis in hypotheses]
        left = self._end if context is None else np.concatenate([self._end, context.ids])
        self._check_length(sum(map(len, ids)) + len(left))
        (start,) = await self.contexts.states_after([left])
        assert start is not None
        rows = await score_prefix_tree(ids, start, self._runner)
        return [row.astype(np.float64) for row in rows]

    def _check_length(self, tokens: int) -> None:
        limit = self.settings.max_request_tokens
        if tokens > limit:
            raise InputTooLong(f"the request holds {tokens} tokens; at most {limit} are allowed")

    def publish(self) -> None:
        """Let the metrics tell of this model, and of no other."""
        manifest = self.bundle.manifest
        self.metrics.bundle_info.clear()
        self.metrics.bundle_info.labels(
            manifest.name, self.bundle.hash, manifest.precision, str(manifest.vocabulary_size)
        ).set(1)
        for lane in PRIORITIES:
            waiting = partial(self.admission.waiting_tokens, lane)
            self.metrics.queue_tokens.labels(lane).set_function(waiting)


def _lefts(prefix: Ids, contexts: Sequence[TokenizedText]) -> list[Ids]:
    """The ids before each text; one array for a context that stands before many."""
    distinct = {id(context): context for context in contexts}
    made = {at: np.concatenate([prefix, context.ids]) for at, context in distinct.items()}
    return [made[id(context)] for context in contexts]


def _ids(*ids: int) -> Ids:
    return np.array(ids, np.int64)
