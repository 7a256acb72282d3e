"""The language model without HTTP: texts in, figures out.

    TokenizedText → InferenceTask → EngineRunner ⇒ worker thread: encoder, decoder ⇒ TextScore

The use cases are `score`, `rescore`, `next_token`, `prefill` and `generate`. They take and return
values, in tokens and nats, and count the tokens in the metrics. This module contains no JSON, no
HTTP status and no onnxruntime.
"""

import time
from collections.abc import AsyncIterator, Sequence
from functools import partial

import numpy as np

from service.arrays import PRIORITIES, Floats
from service.bundle import Bundle
from service.inference.admission import Admission
from service.inference.context_encoder import ContextEncoder
from service.inference.engine_runner import EngineRunner
from service.inference.scheduler import Scheduler
from service.inference.state_handle import StateCodec
from service.inference.task import InferenceTask
from service.limits import ServerLimits
from service.results.calibration import read_calibrations
from service.results.distribution import next_token_distribution
from service.results.model_info import model_info
from service.results.next_token import NextTokenResult, distribution_options
from service.results.options import (
    DEFAULT_SCORE_OPTIONS,
    GenerationOptions,
    NextTokenOptions,
    PrefillOptions,
    ScoreOptions,
)
from service.results.predictor import Predictor
from service.results.prefill import Prefilled, prefill
from service.results.result_rows import ResultRows
from service.results.sampling import Sampler, Step
from service.results.text_score import HypothesisScore, TextScore
from service.results.text_scorer import NO_IDS, TextScorer
from service.runtime.background_thread import BackgroundThread
from service.runtime.cpu_count import usable_cores
from service.runtime.metrics import Metrics
from service.settings import Settings
from service.text.request_encoder import RequestEncoder
from service.text.tokenized_text import TokenizedText
from service.text.tokenizer import Tokenizer


class LanguageModel:
    """One bundle behind its use cases.

    `encoder` turns a request's texts into `TokenizedText`, `rows` turns results into rows,
    `admission` rejects requests that would wait too long, `run_in_background` runs long work
    without blocking the event loop, and `open_state` and `seal_state` convert between handles and
    states (S,). `info` and `limits` are values.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: Settings,
        metrics: Metrics | None = None,
        state_key: bytes | None = None,
    ) -> None:
        """Load the engine, start its workers and warm them up. Raises StartError."""
        self.bundle, self.settings = bundle, settings
        self.metrics = metrics or Metrics()
        self.calibrations = read_calibrations(settings.calibration, bundle)
        threads = settings.threads or usable_cores()
        self.tokenizer = Tokenizer(bundle.contents["tokenizer.json"], bundle.manifest)
        self.info = model_info(bundle, self.tokenizer, threads, int(time.time()))
        scheduler: Scheduler[InferenceTask] = Scheduler(settings.max_batch_tokens)
        self.admission = Admission(
            scheduler,
            threads=threads,
            wait_limits=settings.wait_limits,
            max_queue_tokens=settings.max_queue_tokens,
            max_body_bytes=settings.max_body_bytes,
            request_timeout_seconds=settings.request_timeout,
            on_wait=self.metrics.admission_seconds.observe,
        )
        background = BackgroundThread(self.admission.check_tokenizing, settings.request_timeout)
        self._background_thread, self.run_in_background = background, background.run
        limit = settings.max_request_tokens
        self.encoder = RequestEncoder(self.tokenizer, self.metrics, background, limit)
        self.rows = ResultRows(self.tokenizer)
        self._state_key = state_key or settings.state_key()
        self._runner = EngineRunner(
            bundle,
            self.metrics,
            scheduler,
            self.admission,
            threads=threads,
            request_timeout_seconds=settings.request_timeout,
        )
        engine = self._engine = self._runner.engine
        self._states = StateCodec(self._state_key, bundle.hash, engine.state_size)
        self.open_state, self.seal_state = self._states.open, self._states.seal
        self._contexts = ContextEncoder(self._runner, self.metrics, settings.prefix_cache_bytes)
        self._scorer = TextScorer(self.tokenizer, self.encoder, self._contexts, self._runner, limit)
        self._predictor = Predictor(self.tokenizer, self._contexts, engine.zero_state(), limit)
        self._generated_tokens = self.metrics.tokens.labels("/v1/completions")

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
        self._background_thread.close()

    async def score(
        self,
        texts: Sequence[TokenizedText],
        options: ScoreOptions = DEFAULT_SCORE_OPTIONS,
        *,
        contexts: Sequence[TokenizedText] | None = None,
        state: Floats | None = None,
    ) -> list[TextScore]:
        """Score each text from the start of a text, after its context, or after a state (S,).

        Without `bos`, context and state nothing precedes the first token, and it has no score.
        Raises InputTooLong, InvalidRequest, UnknownToken, DeadlineExceeded.
        """
        scores = await self._scorer.score(texts, options, contexts, state, admitted=True)
        tokens = sum(score.totals.tokens for score in scores)
        oov_tokens = sum(score.totals.oov_tokens for score in scores)
        self.metrics.count_tokens("/score", tokens, oov_tokens)
        return scores

    async def rescore(
        self, hypotheses: Sequence[TokenizedText], context: TokenizedText | None = None
    ) -> list[HypothesisScore]:
        """Score hypotheses of one text. Prefixes that they share are encoded once.

        Raises InputTooLong, DeadlineExceeded.
        """
        scores = await self._scorer.rescore(hypotheses, context)
        tokens = sum(score.token_count for score in scores)
        self.metrics.count_tokens("/rescore", tokens, sum(score.oov_count for score in scores))
        return scores

    async def next_token(
        self, context: TokenizedText, options: NextTokenOptions, state: Floats | None = None
    ) -> NextTokenResult:
        """Return the distribution of the word after `context`, and the state (S,) there.

        Raises InputTooLong, InvalidRequest, Overloaded, DeadlineExceeded.
        """
        steps = distribution_options(self.tokenizer, options)
        function = partial(next_token_distribution, options=steps)
        found, after = await self._predictor.predict(context.ids, function, state, bos=options.bos)
        self.metrics.count_tokens("/next-token", len(context.ids))
        return NextTokenResult(context.ids, found, options.candidates, after)

    async def prefill(
        self, prompts: Sequence[TokenizedText], options: PrefillOptions
    ) -> list[Prefilled]:
        """Encode each distinct prompt once. Return its score and the state after it, as requested.

        Raises InputTooLong, Overloaded, DeadlineExceeded.
        """
        prefilled = await prefill(prompts, options, self._scorer, self._predictor)
        self.metrics.count_tokens("/v1/completions", sum(len(prompt.ids) for prompt in prompts))
        return prefilled

    async def generate(self, state: Floats, options: GenerationOptions) -> AsyncIterator[Step]:
        """Yield the tokens drawn after a state (S,); `<unk>` is never drawn.

        A request was admitted with its prompts, so that no token raises Overloaded. Raises
        DeadlineExceeded.
        """
        sampler, ids = Sampler(options, excluded=self.info.unknown_id), NO_IDS
        for _ in range(options.max_tokens):
            step, state = await self._predictor.predict(ids, sampler, state, admitted=True)
            if options.stop_at_end and step.id == self.info.end_id:
                yield step
                return
            self._generated_tokens.inc()
            yield step
            ids = np.array([step.id], np.int64)

    def publish(self) -> None:
        """Make the metrics describe this model alone."""
        self.metrics.bundle_info.clear()
        self.metrics.bundle_info.labels(*self.info.labels).set(1)
        for priority in PRIORITIES:
            waiting = partial(self.admission.waiting_tokens, priority)
            self.metrics.queue_tokens.labels(priority).set_function(waiting)
