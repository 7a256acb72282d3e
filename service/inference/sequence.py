"""A sequence on its way through the engine, and one run of several.

A run reads a *piece* of each sequence and leaves the state where it stopped, so that a long text
takes many short runs and gives the same figures. This module knows the engine and the arithmetic
of a distribution; it knows no queue, no thread and no asyncio.
"""

from dataclasses import dataclass, field

import numpy as np

from service.distribution import NextTokens, Shape, shape_distribution
from service.inference.engine import Decoded, Floats, Ids, OnnxEngine

UNSCORED = -1


@dataclass(slots=True, eq=False)
class Sequence:
    """Ids to read from a state, and what to find out on the way.

    `targets[i]` is the id that came after `inputs[i]`, or UNSCORED. With a `shape`, the
    distribution after the last input is shaped so too. `position` counts the inputs read.
    """

    inputs: Ids  # (n,)
    targets: Ids  # (n,)
    state: Floats  # (S,)
    details: bool = False
    top: int = 0
    shape: Shape | None = None
    position: int = 0
    pieces: list[Decoded] = field(default_factory=list)
    next_tokens: NextTokens | None = None

    @property
    def remaining(self) -> int:
        return len(self.inputs) - self.position

    def decoded(self) -> Decoded:
        """The figures of all scored targets, in order."""
        return concatenate(self.pieces)


def concatenate(pieces: list[Decoded]) -> Decoded:
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        return Decoded(logprobs=np.empty(0, np.float32))
    columns: dict[str, np.ndarray] = {}
    for name in ("logprobs", "ranks", "entropies", "top_ids", "top_logprobs"):
        parts = [getattr(piece, name) for piece in pieces]
        if parts[0] is not None:
            columns[name] = np.concatenate(parts)
    return Decoded(**columns)


def run(engine: OnnxEngine, sequences: list[Sequence], limit: int) -> None:
    """Read up to `limit` inputs of every sequence in one batch; distributions at their ends."""
    reading = [s for s in sequences if s.remaining]
    if reading:
        _read(engine, reading, limit)
    finished = [s for s in sequences if s.shape is not None and not s.remaining]
    if finished:
        hidden = engine.hidden(np.stack([s.state for s in finished]))
        for sequence, row in zip(finished, engine.log_distribution(hidden), strict=True):
            assert sequence.shape is not None
            sequence.next_tokens = shape_distribution(row, sequence.shape)


def _read(engine: OnnxEngine, sequences: list[Sequence], limit: int) -> None:
    spans = [(s.position, s.position + min(limit, s.remaining)) for s in sequences]
    lengths = np.array([end - begin for begin, end in spans], np.int32)
    ids = np.zeros((len(sequences), lengths.max()), np.int64)  # (B, T)
    for row, sequence, (begin, end) in zip(ids, sequences, spans, strict=True):
        row[: end - begin] = sequence.inputs[begin:end]
    hidden, states = engine.encode(ids, lengths, np.stack([s.state for s in sequences]))
    wanted: dict[tuple[bool, int], list[tuple[Sequence, Floats, Ids]]] = {}
    offset = 0
    for index, (sequence, (begin, end)) in enumerate(zip(sequences, spans, strict=True)):
        rows = hidden[offset : offset + end - begin]
        offset += end - begin
        targets = sequence.targets[begin:end]
        scored = targets != UNSCORED
        if not scored.all():
            rows, targets = rows[scored], targets[scored]
        if len(targets):
            wanted.setdefault((sequence.details, sequence.top), []).append(
                (sequence, rows, targets)
            )
        sequence.state = states[index]
        sequence.position = end
    for (details, top), parts in wanted.items():
        _decode(engine, parts, details, top)


def _decode(
    engine: OnnxEngine, parts: list[tuple[Sequence, Floats, Ids]], details: bool, top: int
) -> None:
    decoded = engine.decode(
        np.concatenate([rows for _, rows, _ in parts]),
        np.concatenate([targets for _, _, targets in parts]),
        details,
        top,
    )
    offset = 0
    for sequence, _, targets in parts:
        at = slice(offset, offset + len(targets))
        offset += len(targets)
        sequence.pieces.append(
            Decoded(
                decoded.logprobs[at],
                None if decoded.ranks is None else decoded.ranks[at],
                None if decoded.entropies is None else decoded.entropies[at],
                None if decoded.top_ids is None else decoded.top_ids[at],
                None if decoded.top_logprobs is None else decoded.top_logprobs[at],
            )
        )
