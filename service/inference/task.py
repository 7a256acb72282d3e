"""A sequence on its way through the engine, and one run of several.

A run reads a *piece* of each sequence and leaves the state where it stopped, so that a long text
takes many short runs and gives the same figures. This module knows the engine and the arithmetic
of a distribution; it knows no queue, no thread and no asyncio.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.arrays import Floats, Ids, SoftTarget
from service.inference.engine import Decoded, OnnxEngine
from service.inference.neural_cache import NeuralCache

UNSCORED = -1


@dataclass(slots=True, eq=False)
class InferenceTask:
    """Ids to read from a state, and what to find out on the way.

    `targets[i]` is the id that came after `inputs[i]`, or UNSCORED; `first_target` the one that
    comes after the state itself. `soft_targets` gives a distribution for each scored target, the
    first one included. `cache` mixes what was scored lately into the log-probabilities. `ask` gets
    the log-probabilities (V,) after the last input, in the worker, and what it returns is the
    `answer`. With `keep_states`, the state at the end of every run is kept, with its position.
    """

    inputs: Ids  # (n,)
    targets: Ids  # (n,)
    state: Floats  # (S,)
    first_target: int = UNSCORED
    details: bool = False
    top: int = 0
    soft_targets: list[SoftTarget] | None = None
    cache: NeuralCache | None = None
    ask: Callable[[Floats], Any] | None = None
    keep_states: bool = False
    begun: bool = False
    position: int = 0
    pieces: list[Decoded] = field(default_factory=list)
    states: list[tuple[int, Floats]] = field(default_factory=list)
    answer: Any = None

    @property
    def remaining(self) -> int:
        """Inputs not read yet; at least 1 until the first run, which every sequence needs."""
        unread = len(self.inputs) - self.position
        return unread if self.begun else max(1, unread)

    def piece(self, limit: int, caches: int) -> int:
        """How many inputs to read in a run of up to `limit` with so many caches."""
        most = limit if self.cache is None else min(limit, self.cache.rows_a_run(caches))
        return min(most, self.remaining)

    def decoded(self) -> Decoded:
        """The figures of all scored targets, in order."""
        return Decoded.concatenate(self.pieces)


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of one run in each stage."""

    encode: float
    decode: float
    distribute: float


def run_batch(engine: OnnxEngine, sequences: list[InferenceTask], limit: int) -> Timings:
    """Read up to `limit` inputs of every sequence in one batch; distributions at their ends."""
    begun = time.perf_counter()
    rows: list[tuple[InferenceTask, Floats, Ids]] = []
    for sequence in sequences:
        if not sequence.begun and sequence.first_target != UNSCORED:
            first = np.array([sequence.first_target], np.int64)
            rows.append((sequence, engine.hidden(sequence.state[None]), first))
        sequence.begun = True
    reading = [s for s in sequences if s.remaining]
    if reading:
        rows += _encode(engine, reading, limit)
    encoded = time.perf_counter()
    _decode(engine, rows)
    decoded = time.perf_counter()
    _distribute(engine, [s for s in sequences if s.ask is not None and not s.remaining])
    return Timings(encoded - begun, decoded - encoded, time.perf_counter() - decoded)


def _distribute(engine: OnnxEngine, sequences: list[InferenceTask]) -> None:
    for begin in range(0, len(sequences), engine.block_rows):
        block = sequences[begin : begin + engine.block_rows]
        hidden = engine.hidden(np.stack([s.state for s in block]))
        for sequence, row in zip(block, engine.log_distribution(hidden), strict=True):
            assert sequence.ask is not None
            sequence.answer = sequence.ask(row)


def _encode(
    engine: OnnxEngine, sequences: list[InferenceTask], limit: int
) -> list[tuple[InferenceTask, Floats, Ids]]:
    """Advance every sequence; return the hidden vectors and ids of its scored targets."""
    caches = sum(s.cache is not None for s in sequences)
    spans = [(s.position, s.position + s.piece(limit, caches)) for s in sequences]
    lengths = np.array([end - begin for begin, end in spans], np.int32)
    ids = np.zeros((len(sequences), lengths.max()), np.int64)  # (B, T)
    for row, sequence, (begin, end) in zip(ids, sequences, spans, strict=True):
        row[: end - begin] = sequence.inputs[begin:end]
    hidden, states = engine.encode(ids, lengths, np.stack([s.state for s in sequences]))
    wanted = []
    offset = 0
    for index, (sequence, (begin, end)) in enumerate(zip(sequences, spans, strict=True)):
        rows = hidden[offset : offset + end - begin]
        offset += end - begin
        targets = sequence.targets[begin:end]
        scored = targets != UNSCORED
        if not scored.all():
            rows, targets = rows[scored], targets[scored]
        if len(targets):
            wanted.append((sequence, rows, targets))
        sequence.state = states[index]
        sequence.position = end
        if sequence.keep_states:
            sequence.states.append((end, states[index]))
    return wanted


def _decode(engine: OnnxEngine, scored: list[tuple[InferenceTask, Floats, Ids]]) -> None:
    """Decode together what asks for the same, and give every sequence its piece."""
    alike: dict[tuple[bool, int], list[tuple[InferenceTask, Floats, Ids]]] = {}
    for part in scored:
        alike.setdefault((part[0].details, part[0].top), []).append(part)
    for (details, top), parts in alike.items():
        hidden = np.concatenate([hidden for _, hidden, _ in parts])
        targets = np.concatenate([targets for _, _, targets in parts])
        decoded = engine.decode(hidden, targets, details, top)
        offset = 0
        for sequence, rows, own in parts:
            piece = decoded[offset : offset + len(own)]
            offset += len(own)
            if sequence.cache is not None:
                piece.logprobs = sequence.cache.mix(rows, own, piece.logprobs)
            if sequence.soft_targets is not None:
                done = sum(len(earlier.logprobs) for earlier in sequence.pieces)
                wanted = sequence.soft_targets[done : done + len(own)]
                piece.soft_cross_entropies = engine.soft_cross_entropies(rows, wanted)
            sequence.pieces.append(piece)
