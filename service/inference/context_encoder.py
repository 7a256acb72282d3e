"""Encode contexts, which condition but are not scored, from the longest cached prefix."""

from typing import Any

import numpy as np

from service.arrays import Floats, Ids, Priority
from service.inference.engine_runner import EngineRunner
from service.inference.prefix_cache import PrefixCache
from service.inference.task import UNSCORED, DistributionFn, InferenceTask
from service.runtime.metrics import Metrics


def context_keys(contexts: list[Ids]) -> list[bytes]:
    """Return a key for each context: equal for equal ids, empty for no ids. An array that stands in
    the list many times is serialised once.
    """
    arrays = {id(ids): ids for ids in contexts}
    keys = {at: ids.tobytes() for at, ids in arrays.items()}
    return [keys[id(ids)] for ids in contexts]


class ContextEncoder:
    def __init__(self, runner: EngineRunner, metrics: Metrics, cache_bytes: int) -> None:
        """`cache_bytes` bound the memory of the prefix cache; 0 turns it off."""
        self._runner = runner
        self._metrics = metrics
        self.cache = PrefixCache(cache_bytes)

    async def states_after(
        self, contexts: list[Ids], priority: Priority = "bulk"
    ) -> list[Floats | None]:
        """Return the state (S,) after each context, or None for an empty one. Equal contexts run
        once. Raises as `EngineRunner.run`; bulk contexts count as admitted.
        """
        keys = context_keys(contexts)
        distinct = {key: ids for key, ids in zip(keys, contexts, strict=True) if key}
        tasks = {key: self._cached_task(ids) for key, ids in distinct.items()}
        admitted = priority == "bulk"  # by `Admission`, before it was tokenized
        await self._run(list(distinct.values()), list(tasks.values()), priority, admitted)
        return [tasks[key].state if key else None for key in keys]

    async def distribution_after(
        self,
        context: Ids,
        on_distribution: DistributionFn,
        state: Floats | None,
        admitted: bool,
    ) -> tuple[Any, Floats]:
        """Return `on_distribution` of the log-probabilities (V,) after `context`, and the state
        (S,) there. The context follows `state`, or starts a text. Raises as `EngineRunner.run`.
        """
        if state is None:
            task = self._cached_task(context)
        else:
            task = InferenceTask(context, np.full(len(context), UNSCORED), state)
        task.on_distribution = on_distribution
        await self._run([context], [task], "interactive", admitted)
        return task.result, task.state

    def _cached_task(self, ids: Ids) -> InferenceTask:
        """Return the task that runs the ids after their longest cached prefix."""
        found = self.cache.find(ids) if len(ids) else None
        if len(ids):
            (self._metrics.prefix_cache_hits if found else self._metrics.prefix_cache_misses).inc()
        length, state = found or (0, self._runner.engine.zero_state())
        inputs = ids[length:]
        return InferenceTask(inputs, np.full(len(inputs), UNSCORED), state, keep_states=True)

    async def _run(
        self, contexts: list[Ids], tasks: list[InferenceTask], priority: Priority, admitted: bool
    ) -> None:
        await self._runner.run(tasks, priority, admitted=admitted)
        for ids, task in zip(contexts, tasks, strict=True):
            start = len(ids) - len(task.inputs)
            for position, state in select_checkpoints(task.states):
                self.cache.add(ids[: start + position], state)


def select_checkpoints(states: list[tuple[int, Floats]]) -> list[tuple[int, Floats]]:
    """Keep the last state, then states at roughly doubling distances before it.

    A cache entry holds all ids before its state, so that all states of a long context would take
    memory that grows with the square of its length. The next context mostly differs near the end.
    """
    kept: list[tuple[int, Floats]] = []
    for position, state in reversed(states):
        end = kept[0][0] if kept else position
        if len(kept) < 2 or end - position >= 2 * (end - kept[-1][0]):
            kept.append((position, state))
    return kept[::-1]
