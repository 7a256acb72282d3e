"""The language model without HTTP: texts in, figures out.

    TokenizedText → InferenceTask → EngineRunner ⇒ worker thread: encoder, decoder ⇒ TextScore

The use cases are `score`, `next_token`, `rescore`, `prefill` and `generate`. They take and return
values, in tokens and nats, and count what they compute in the metrics. This module knows no JSON,
no status code and no onnxruntime.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from service.arrays import PRIORITIES, Floats, Ids, Priority, SoftTarget
from service.bundle import Bundle
from service.errors import InputTooLong, InvalidRequest
from service.inference.admission import Admission
from service.inference.context_encoder import ContextEncoder, context_keys
from service.inference.engine_runner import EngineRunner
from service.inference.prefix_tree import score_prefix_tree
from service.inference.scheduler import Scheduler
from service.inference.state_handle import StateCodec
from service.inference.task import InferenceTask
from service.limits import ServerLimits, check_cache_positions, check_targets, check_top
from service.results.calibration import read_calibrations
from service.results.distribution import DistributionOptions, next_token_distribution
from service.results.model_info import model_info
from service.results.next_token import NextTokenResult
from service.results.options import (
    GenerationOptions,
    NextTokenOptions,
    PrefillOptions,
    ScoreOptions,
)
from service.results.result_rows import ResultRows
from service.results.sampling import Sampler, Step
from service.results.scoring_task import apply_options, context_ids, scoring_task
from service.results.text_score import HypothesisScore, Prefilled, TextScore, text_score
from service.runtime.background_thread import BackgroundThread
from service.runtime.cpu_count import usable_cores
from service.runtime.metrics import Metrics
from service.settings import Settings
from service.text.request_encoder import RequestEncoder
from service.text.tokenized_text import TokenizedText
from service.text.tokenizer import Tokenizer

T = TypeVar("T")

DEFAULT_OPTIONS = ScoreOptions()
NOTHING: Ids = np.empty(0, np.int64)


class LanguageModel:
    """One bundle behind its use cases.

    `encoder` turns a request's texts into `TokenizedText`, `rows` turns results into rows, and
    `admission` refuses requests that would wait too long. `info` and `limits` are values.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: Settings,
        metrics: Metrics | None = None,
        state_key: bytes | None = None,
    ) -> None:
        """Load the engine, start its workers and warm them up. Raises StartError."""
        self.settings = settings
        self.metrics = metrics or Metrics()
        self.calibrations = read_calibrations(
            settings.calibration, bundle.manifest.name, bundle.hash
        )
        self.bundle = bundle
        self.threads = settings.threads or usable_cores()
        self.tokenizer = Tokenizer(bundle.contents["tokenizer.json"], bundle.manifest)
        self.info = model_info(bundle, self.tokenizer, self.threads, int(time.time()))
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
        self.rows = ResultRows(self.tokenizer)
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
        self._end = np.array([self.tokenizer.end_id], np.int64)

    @property
    def limits(self) -> ServerLimits:
        return self.settings.limits

    def reload_from(self, bundle: Bundle) -> "LanguageModel":
        """Return a model of another bundle with the same settings, metrics and state key.

        Raises StartError, and this model stays as it is.
        """
        return LanguageModel(bundle, self.settings, self.metrics, self._state_key)

    def close(self) -> None:
        """Finish the requests that are running and end the workers."""
        self._runner.close()
        self.background_thread.close()

    async def score(
        self,
        texts: Sequence[TokenizedText],
        options: ScoreOptions = DEFAULT_OPTIONS,
        *,
        contexts: Sequence[TokenizedText] | None = None,
        state: Floats | None = None,
    ) -> list[TextScore]:
        """Score each text from the start of a text, after its context, or after a state (S,).

        Without `bos`, context and state nothing precedes the first token, and it has no score.
        Raises InputTooLong, InvalidRequest, UnknownToken, DeadlineExceeded.
        """
        scores = await self._score(texts, options, contexts, state, admitted=True)
        self._count("/score", sum(score.totals.tokens for score in scores))
        self.metrics.oov_tokens.inc(sum(score.totals.oov_tokens for score in scores))
        return scores

    async def next_token(
        self, context: TokenizedText, options: NextTokenOptions, state: Floats | None = None
    ) -> NextTokenResult:
        """Return the distribution of the word after `context`, and the state (S,) there.

        Raises InputTooLong, InvalidRequest, Overloaded, DeadlineExceeded.
        """
        question = partial(next_token_distribution, options=self._distribution_options(options))
        found, after = await self._ask(context.ids, question, state, bos=options.bos)
        self._count("/next-token", len(context.ids))
        return NextTokenResult(context.ids, found, options.candidates, after)

    async def rescore(
        self, hypotheses: Sequence[TokenizedText], context: TokenizedText | None = None
    ) -> list[HypothesisScore]:
        """Score hypotheses of one text. Prefixes that they share are encoded once.

        Raises InputTooLong, DeadlineExceeded.
        """
        ids = [np.concatenate([hypothesis.ids, self._end]) for hypothesis in hypotheses]
        left = self._end if context is None else np.concatenate([self._end, context.ids])
        self._check_length(sum(map(len, ids)) + len(left))
        (start,) = await self.contexts.states_after([left])
        assert start is not None
        rows = await score_prefix_tree(ids, start, self._runner)
        self._count("/rescore", sum(map(len, rows)))
        unknown = -1 if self.info.unknown_id is None else self.info.unknown_id
        scores = [
            HypothesisScore(row.astype(np.float64), int((hypothesis.ids == unknown).sum()))
            for hypothesis, row in zip(hypotheses, rows, strict=True)
        ]
        self.metrics.oov_tokens.inc(sum(score.oov_count for score in scores))
        return scores

    async def prefill(
        self, prompts: Sequence[TokenizedText], options: PrefillOptions
    ) -> list[Prefilled]:
        """Encode each distinct prompt once: return its score and the state after it, as requested.

        Raises InputTooLong, Overloaded, DeadlineExceeded.
        """
        found = [Prefilled(None, None)] * len(prompts)
        if options.score:
            wanted = ScoreOptions(
                bos=options.bos,
                eos=False,
                details=options.details,
                top=options.top,
                return_state=options.return_state,
            )
            scores = await self._score(prompts, wanted, None, None, admitted=options.admitted)
            found = [Prefilled(score, score.state) for score in scores]
        elif options.return_state:
            prefix = self._end if options.bos else NOTHING
            states = await self._states_after(context_ids(prefix, prompts))
            found = [Prefilled(None, state) for state in states]
        self._count("/v1/completions", sum(len(prompt.ids) for prompt in prompts))
        return found

    async def generate(self, state: Floats, options: GenerationOptions) -> AsyncIterator[Step]:
        """Yield the tokens drawn after a state (S,); `<unk>` is never drawn.

        A request was admitted with its prompts, so that no token raises Overloaded. Raises
        DeadlineExceeded.
        """
        sampler = Sampler(options, excluded=self.info.unknown_id)
        ids = NOTHING
        for _ in range(options.max_tokens):
            step, state = await self._ask(ids, sampler, state, admitted=True)
            if options.stop_at_end and step.id == self.info.end_id:
                yield step
                return
            self._count("/v1/completions", 1)
            yield step
            ids = np.array([step.id], np.int64)

    def open_state(self, handle: str) -> Floats:
        """Return the state (S,) of a handle. Raises InvalidState."""
        return self.states.open(handle)

    def seal_state(self, state: Floats) -> str:
        """Return the handle of a state (S,)."""
        return self.states.seal(state)

    async def run_in_background(
        self, work: Callable[[], T], seconds: float = 0.0, priority: Priority | None = None
    ) -> T:
        """Run `work`, which takes about `seconds`, without blocking the event loop.

        With a `priority`, raise Overloaded if the expected wait is too long, and DeadlineExceeded if
        the wait was.
        """
        return await self.background_thread.run(work, seconds, priority=priority)

    def publish(self) -> None:
        """Make the metrics describe this model alone."""
        info = self.info
        self.metrics.bundle_info.clear()
        self.metrics.bundle_info.labels(
            info.name, info.bundle_hash, info.precision, str(info.vocabulary_size)
        ).set(1)
        for priority in PRIORITIES:
            waiting = partial(self.admission.waiting_tokens, priority)
            self.metrics.queue_tokens.labels(priority).set_function(waiting)

    def count_rejection(self, code: str) -> None:
        """Count an error that is sent after the response has started."""
        self.metrics.rejected.labels(code).inc()

    async def _score(
        self,
        texts: Sequence[TokenizedText],
        options: ScoreOptions,
        contexts: Sequence[TokenizedText] | None,
        state: Floats | None,
        *,
        admitted: bool,
    ) -> list[TextScore]:
        prefix = self._end if options.bos and state is None else NOTHING
        scored = [np.concatenate([t.ids, self._end]) if options.eos else t.ids for t in texts]
        lefts = context_ids(prefix, contexts or [])
        self._check_score_limits(scored, lefts, options)
        soft: Sequence[list[SoftTarget] | None] = [None] * len(texts)
        if options.targets is not None:
            before = lefts or [prefix] * len(texts)
            begun = [state is not None or len(left) > 0 for left in before]
            check_targets(options.targets, scored, begun)
            soft = await self.encoder.encode_targets(options.targets)
        starts: Sequence[Floats | None] = [state] * len(texts)
        if contexts is not None:
            starts, prefix = await self.contexts.states_after(lefts), NOTHING
        keep, zero_state = options.return_state, self.engine.zero_state()
        tasks = [
            scoring_task(prefix, start, ids, zero_state, to_its_end=keep)
            for start, ids in zip(starts, scored, strict=True)
        ]
        apply_options(tasks, options, soft, self.engine.embedding_size)
        await self._runner.run(tasks, "bulk", admitted=admitted)
        unknown = self.info.unknown_id
        return [
            text_score(text, ids, task.decoded(), unknown, task.state if keep else None)
            for text, ids, task in zip(texts, scored, tasks, strict=True)
        ]

    async def _ask(
        self,
        context: Ids,
        question: Callable[[Floats], T],
        state: Floats | None = None,
        *,
        bos: bool = True,
        admitted: bool = False,
    ) -> tuple[T, Floats]:
        """Return `question` of the log-probabilities (V,) after `context`, and the state there.

        It is called in a worker thread, so that the row never leaves it.
        """
        prefix = self._end if bos and state is None else NOTHING
        left = np.concatenate([prefix, context])
        self._check_length(len(left))
        return await self.contexts.distribution_after(left, question, state, admitted)

    async def _states_after(self, contexts: list[Ids]) -> list[Floats]:
        self._check_length(sum(map(len, contexts)))
        states = await self.contexts.states_after(contexts, "interactive")
        return [self.engine.zero_state() if state is None else state for state in states]

    def _distribution_options(self, options: NextTokenOptions) -> DistributionOptions:
        if options.top_k > self.info.vocabulary_size:
            raise InvalidRequest(f"top_k is at most {self.info.vocabulary_size}", "top_k")
        vocabulary, prefix = self.tokenizer.vocabulary, options.prefix
        return DistributionOptions(
            top_k=options.top_k,
            temperature=options.temperature,
            excluded=self.tokenizer.special_ids if options.exclude_special else None,
            allowed=None if prefix is None else vocabulary.with_prefix(prefix),
            candidates=[candidate.id for candidate in options.candidates],
        )

    def _check_score_limits(
        self, scored: list[Ids], lefts: list[Ids], options: ScoreOptions
    ) -> None:
        read = dict(
            zip(context_keys(lefts), map(len, lefts), strict=True)
        )  # each distinct one once
        tokens = sum(map(len, scored))
        self._check_length(tokens + sum(read.values()))
        check_top(tokens, options.top)
        if options.cache is not None:
            check_cache_positions(options.cache.window, scored)

    def _check_length(self, tokens: int) -> None:
        limit = self.settings.max_request_tokens
        if tokens > limit:
            raise InputTooLong(f"the request holds {tokens} tokens; at most {limit} are allowed")

    def _count(self, route: str, tokens: int) -> None:
        self.metrics.tokens.labels(route).inc(tokens)
