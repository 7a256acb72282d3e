"""Reading what conditions and is not scored, from the longest beginning that the cache knows."""

from collections.abc import Callable
from typing import Any

import numpy as np

from service.arrays import Floats, Ids, Priority
from service.inference.engine_runner import EngineRunner
from service.inference.prefix_cache import PrefixCache
from service.inference.task import UNSCORED, InferenceTask
from service.runtime.metrics import Metrics

Question = Callable[[Floats], Any]


def keys_of(contexts: list[Ids]) -> list[bytes]:
    """The same for equal ids, and nothing for none; made once of an array that stands for many."""
    arrays = {id(ids): ids for ids in contexts}
    keys = {at: ids.tobytes() for at, ids in arrays.items()}
    return [keys[id(ids)] for ids in contexts]


class ContextEncoder:
    def __init__(self, runner: EngineRunner, metrics: Metrics, cache_bytes: int) -> None:
        self._runner = runner
        self._metrics = metrics
        self.cache = PrefixCache(cache_bytes)

    async def states_after(
        self, contexts: list[Ids], lane: Priority = "bulk"
    ) -> list[Floats | None]:
        """The state after each context, each distinct one read once; None after nothing."""
        keys = keys_of(contexts)
        distinct = {key: ids for key, ids in zip(keys, contexts, strict=True) if key}
        readings = {key: self._reading(ids) for key, ids in distinct.items()}
        admitted = lane == "bulk"  # by `Admission`, before it was tokenized
        await self._read(list(distinct.values()), list(readings.values()), lane, admitted)
        return [readings[key].state if key else None for key in keys]

    async def ask(
        self, context: Ids, question: Question, state: Floats | None, admitted: bool
    ) -> tuple[Any, Floats]:
        """What `question` says of the log-probabilities (V,) after a context that follows `state`,
        or starts a text; and the state there.
        """
        if state is None:
            sequence = self._reading(context)
        else:
            sequence = InferenceTask(context, np.full(len(context), UNSCORED), state)
        sequence.ask = question
        await self._read([context], [sequence], "interactive", admitted)
        return sequence.answer, sequence.state

    def _reading(self, ids: Ids) -> InferenceTask:
        found = self.cache.find(ids) if len(ids) else None
        if len(ids):
            (self._metrics.prefix_cache_hits if found else self._metrics.prefix_cache_misses).inc()
        length, state = found or (0, self._runner.engine.zero_state())
        inputs = ids[length:]
        return InferenceTask(inputs, np.full(len(inputs), UNSCORED), state, keep_states=True)

    async def _read(
        self, contexts: list[Ids], sequences: list[InferenceTask], lane: Priority, admitted: bool
    ) -> None:
        await self._runner.run(sequences, lane, admitted=admitted)
        for ids, sequence in zip(contexts, sequences, strict=True):
            begun = len(ids) - len(sequence.inputs)
            for position, state in select_checkpoints(sequence.states):
                self.cache.add(ids[: begun + position], state)


def select_checkpoints(states: list[tuple[int, Floats]]) -> list[tuple[int, Floats]]:
    """Of the states where runs ended the last, and before it each about twice as far from the end.

    An entry holds all ids before it, so that all states of a long context would take the square of
    its length, and the places of every other one. What comes next mostly differs near the end.
    """
    kept: list[tuple[int, Floats]] = []
    for position, state in reversed(states):
        end = kept[0][0] if kept else position
        if len(kept) < 2 or end - position >= 2 * (end - kept[-1][0]):
            kept.append((position, state))
    return kept[::-1]
