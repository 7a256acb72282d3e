"""Scoring: from texts to inference tasks, and from finished tasks to scores.

With `bos` and `eos`, context c and text a b, the model reads and scores

    reads    <eos>  c   a   b
    scores          ·   a   b   <eos>
"""

from collections.abc import Sequence

import numpy as np

from service.arrays import Floats, Ids, SoftTarget
from service.inference.context_encoder import ContextEncoder, context_keys
from service.inference.engine_runner import EngineRunner
from service.inference.neural_cache import NeuralCache
from service.inference.prefix_tree import score_prefix_tree
from service.inference.task import UNSCORED, InferenceTask
from service.limits import check_cache_positions, check_targets, check_token_count, check_top
from service.results.options import ScoreOptions
from service.results.text_score import HypothesisScore, TextScore, text_score
from service.text.request_encoder import RequestEncoder
from service.text.tokenized_text import TokenizedText
from service.text.tokenizer import Tokenizer

NO_IDS: Ids = np.empty(0, np.int64)


class TextScorer:
    """Scorer of texts and of hypotheses."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        encoder: RequestEncoder,
        contexts: ContextEncoder,
        runner: EngineRunner,
        max_tokens: int,
    ) -> None:
        """`max_tokens`: the tokens that a request may hold, its contexts included."""
        self._encoder = encoder
        self._contexts = contexts
        self._runner = runner
        self._max_tokens = max_tokens
        self._end = np.array([tokenizer.end_id], np.int64)
        self._unknown_id = -1 if tokenizer.unknown_id is None else tokenizer.unknown_id

    async def score(
        self,
        texts: Sequence[TokenizedText],
        options: ScoreOptions,
        contexts: Sequence[TokenizedText] | None,
        state: Floats | None,
        *,
        admitted: bool,
    ) -> list[TextScore]:
        """Score texts as `LanguageModel.score` does. Only a request that has not been `admitted`
        raises Overloaded.
        """
        prefix = self._end if options.bos and state is None else NO_IDS
        ids = [np.concatenate([t.ids, self._end]) if options.eos else t.ids for t in texts]
        prefixes = context_ids(prefix, contexts or [])
        self._check_limits(ids, prefixes, options)
        has_prefix = [state is not None or len(p) > 0 for p in prefixes or [prefix] * len(texts)]
        soft_targets = await self._soft_targets(options, ids, has_prefix)
        starts: Sequence[Floats | None] = [state] * len(texts)
        if contexts is not None:
            starts, prefix = await self._contexts.states_after(prefixes), NO_IDS
        keep, engine = options.return_state, self._runner.engine
        tasks = [
            scoring_task(prefix, start, text_ids, engine.zero_state(), to_its_end=keep)
            for start, text_ids in zip(starts, ids, strict=True)
        ]
        for task, soft in zip(tasks, soft_targets, strict=True):
            task.details, task.top, task.soft_targets = options.details, options.top, soft
            if options.cache is not None:
                settings = options.cache.within(len(task.inputs))
                task.cache = NeuralCache(settings, engine.embedding_size)
        await self._runner.run(tasks, "bulk", admitted=admitted)
        return [
            text_score(
                text, text_ids, task.decoded(), self._unknown_id, task.state if keep else None
            )
            for text, text_ids, task in zip(texts, ids, tasks, strict=True)
        ]

    async def rescore(
        self, hypotheses: Sequence[TokenizedText], context: TokenizedText | None
    ) -> list[HypothesisScore]:
        """Score hypotheses as `LanguageModel.rescore` does."""
        ids = [np.concatenate([hypothesis.ids, self._end]) for hypothesis in hypotheses]
        prefix = self._end if context is None else np.concatenate([self._end, context.ids])
        check_token_count(sum(map(len, ids)) + len(prefix), self._max_tokens)
        (start,) = await self._contexts.states_after([prefix])
        assert start is not None  # the prefix is not empty
        rows = await score_prefix_tree(ids, start, self._runner)
        return [
            HypothesisScore(row.astype(np.float64), int((text.ids == self._unknown_id).sum()))
            for text, row in zip(hypotheses, rows, strict=True)
        ]

    def _check_limits(self, ids: list[Ids], prefixes: list[Ids], options: ScoreOptions) -> None:
        tokens = sum(map(len, ids))
        lengths = dict(zip(context_keys(prefixes), map(len, prefixes), strict=True))
        check_token_count(tokens + sum(lengths.values()), self._max_tokens)  # equal ones count once
        check_top(tokens, options.top)
        if options.cache is not None:
            check_cache_positions(options.cache.window, ids)

    async def _soft_targets(
        self, options: ScoreOptions, ids: list[Ids], has_prefix: list[bool]
    ) -> Sequence[list[SoftTarget] | None]:
        if options.targets is None:
            return [None] * len(ids)
        check_targets(options.targets, ids, has_prefix)
        return await self._encoder.encode_targets(options.targets)


def context_ids(prefix: Ids, contexts: Sequence[TokenizedText]) -> list[Ids]:
    """Return `prefix` and the ids of each context; one array for a context that stands for many."""
    distinct = {id(context): context for context in contexts}
    arrays = {at: np.concatenate([prefix, context.ids]) for at, context in distinct.items()}
    return [arrays[id(context)] for context in contexts]


def scoring_task(
    prefix_ids: Ids, state: Floats | None, ids: Ids, zero_state: Floats, *, to_its_end: bool
) -> InferenceTask:
    """Return the task that scores `ids` (n,) after `prefix_ids` or `state`.

    The last id is fed only with `to_its_end`, when the state after it is needed. Without a prefix
    or a state the first id has no score.
    """
    whole = np.concatenate([prefix_ids, ids])
    targets = whole[1:]
    if to_its_end:
        targets = np.append(targets, UNSCORED)[: len(whole)]
    follows_state = state is not None and len(ids) > 0
    return InferenceTask(
        inputs=whole[: len(targets)],
        targets=targets,
        state=zero_state if state is None else state,
        first_target=int(ids[0]) if follows_state else UNSCORED,
    )
