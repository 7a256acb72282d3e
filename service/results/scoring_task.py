"""From texts to the inference tasks that score them, and from finished tasks to scores.

With `bos` and `eos`, context c and text a b, the model reads and scores

    reads    <eos>  c   a   b
    scores          ·   a   b   <eos>
"""

from collections.abc import Sequence

import numpy as np

from service.arrays import CacheSettings, Floats, Ids, SoftTarget
from service.inference.neural_cache import NeuralCache
from service.inference.task import UNSCORED, InferenceTask
from service.results.options import ScoreOptions
from service.text.tokenized_text import TokenizedText


def context_ids(prefix: Ids, contexts: Sequence[TokenizedText]) -> list[Ids]:
    """Return `prefix` and the ids of each context; one array for a context that stands for many."""
    distinct = {id(context): context for context in contexts}
    made = {at: np.concatenate([prefix, context.ids]) for at, context in distinct.items()}
    return [made[id(context)] for context in contexts]


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


def apply_options(
    tasks: Sequence[InferenceTask],
    options: ScoreOptions,
    soft_targets: Sequence[list[SoftTarget] | None],
    embedding_size: int,
) -> None:
    """Set what each task computes next to log-probabilities."""
    for task, soft in zip(tasks, soft_targets, strict=True):
        task.details, task.top, task.soft_targets = options.details, options.top, soft
        if options.cache is not None:
            task.cache = _neural_cache(options.cache, len(task.inputs), embedding_size)


def _neural_cache(settings: CacheSettings, positions: int, embedding_size: int) -> NeuralCache:
    return NeuralCache(settings.within(positions), embedding_size)
