"""An inference task, which is one sequence on its way through the engine, and one batch of tasks.

A batch runs a *chunk* of each sequence and keeps the state where it stopped, so that a long text
takes many short batches and has the same figures. This module does not depend on the queue, on
threads or on asyncio.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.arrays import Floats, Ids, SoftTarget
from service.inference.engine import Decoded, OnnxEngine
from service.inference.neural_cache import NeuralCache

UNSCORED = -1  # as a target: the input before it is not scored

DistributionFn = Callable[[Floats], Any]  # log-probabilities (V,) → a result of any type


@dataclass(slots=True, eq=False)
class InferenceTask:
    """Ids to run from a state, and what to compute on the way.

    `targets[i]` is the id that follows `inputs[i]`, or UNSCORED, and `first_target` the id that
    follows the state itself. `soft_targets` holds a distribution for each scored target, the first
    one included. `cache` mixes recently scored tokens into the log-probabilities.
    `on_distribution` is called in the worker with the log-probabilities (V,) after the last input,
    and its return value is the `result`. With `keep_states`, the state at the end of every batch is
    kept with its position.
    """

    inputs: Ids  # (n,)
    targets: Ids  # (n,)
    state: Floats  # (S,)
    first_target: int = UNSCORED
    details: bool = False
    top: int = 0
    soft_targets: list[SoftTarget] | None = None
    cache: NeuralCache | None = None
    on_distribution: DistributionFn | None = None
    keep_states: bool = False
    started: bool = False
    position: int = 0
    chunks: list[Decoded] = field(default_factory=list)
    states: list[tuple[int, Floats]] = field(default_factory=list)
    result: Any = None

    @property
    def remaining(self) -> int:
        """Inputs still to run. At least 1 before the first batch, which every task needs."""
        remaining = len(self.inputs) - self.position
        return remaining if self.started else max(1, remaining)

    def chunk_size(self, chunk_length: int, caches: int) -> int:
        """Return how many inputs to run in a batch of up to `chunk_length` steps, in which `caches`
        tasks have a neural cache.
        """
        if self.cache is not None:
            chunk_length = min(chunk_length, self.cache.rows_per_batch(caches))
        return min(chunk_length, self.remaining)

    def decoded(self) -> Decoded:
        """Return the figures of all scored targets, in order."""
        return Decoded.concatenate(self.chunks)


ScoredRows = tuple[InferenceTask, Floats, Ids]  # hidden vectors (n, D) and the ids (n,) after them


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of one batch in each stage."""

    encode: float
    decode: float
    distribute: float


def run_batch(engine: OnnxEngine, tasks: list[InferenceTask], chunk_length: int) -> Timings:
    """Run up to `chunk_length` inputs of every task, and the distributions of the finished ones."""
    start = time.perf_counter()
    rows: list[ScoredRows] = []
    for task in tasks:
        if not task.started and task.first_target != UNSCORED:
            first = np.array([task.first_target], np.int64)
            rows.append((task, engine.hidden(task.state[None]), first))
        task.started = True
    unfinished = [task for task in tasks if task.remaining]
    if unfinished:
        rows += _encode(engine, unfinished, chunk_length)
    encoded = time.perf_counter()
    _decode(engine, rows)
    decoded = time.perf_counter()
    finished = [t for t in tasks if t.on_distribution is not None and not t.remaining]
    _distribute(engine, finished)
    return Timings(encoded - start, decoded - encoded, time.perf_counter() - decoded)


def _distribute(engine: OnnxEngine, tasks: list[InferenceTask]) -> None:
    for start in range(0, len(tasks), engine.block_rows):
        block = tasks[start : start + engine.block_rows]
        hidden = engine.hidden(np.stack([task.state for task in block]))  # (n, D)
        for task, row in zip(block, engine.log_distribution(hidden), strict=True):
            assert task.on_distribution is not None
            task.result = task.on_distribution(row)


def _encode(engine: OnnxEngine, tasks: list[InferenceTask], chunk_length: int) -> list[ScoredRows]:
    """Advance every task by a chunk; return the hidden vectors and ids of its scored targets."""
    caches = sum(task.cache is not None for task in tasks)
    spans = [(t.position, t.position + t.chunk_size(chunk_length, caches)) for t in tasks]
    lengths = np.array([end - start for start, end in spans], np.int32)
    ids = np.zeros((len(tasks), lengths.max()), np.int64)  # (B, T)
    for row, task, (start, end) in zip(ids, tasks, spans, strict=True):
        row[: end - start] = task.inputs[start:end]
    hidden, states = engine.encode(ids, lengths, np.stack([task.state for task in tasks]))
    scored_rows = []
    offset = 0
    for index, (task, (start, end)) in enumerate(zip(tasks, spans, strict=True)):
        rows = hidden[offset : offset + end - start]
        offset += end - start
        targets = task.targets[start:end]
        scored = targets != UNSCORED
        if not scored.all():
            rows, targets = rows[scored], targets[scored]
        if len(targets):
            scored_rows.append((task, rows, targets))
        task.state = states[index]
        task.position = end
        if task.keep_states:
            task.states.append((end, states[index]))
    return scored_rows


def _decode(engine: OnnxEngine, scored_rows: list[ScoredRows]) -> None:
    """Decode the rows of tasks with the same options together, and add each task's chunk to it."""
    groups: dict[tuple[bool, int], list[ScoredRows]] = {}
    for entry in scored_rows:
        groups.setdefault((entry[0].details, entry[0].top), []).append(entry)
    for (details, top), group in groups.items():
        hidden = np.concatenate([rows for _, rows, _ in group])
        targets = np.concatenate([ids for _, _, ids in group])
        decoded = engine.decode(hidden, targets, details, top)
        offset = 0
        for task, rows, ids in group:
            chunk = decoded[offset : offset + len(ids)]
            offset += len(ids)
            if task.cache is not None:
                chunk.logprobs = task.cache.mix(rows, ids, chunk.logprobs)
            if task.soft_targets is not None:
                done = sum(len(earlier.logprobs) for earlier in task.chunks)
                own = task.soft_targets[done : done + len(ids)]
                chunk.soft_cross_entropies = engine.soft_cross_entropies(rows, own)
            task.chunks.append(chunk)
