"""The results of one batch in one arithmetic: float64 or torch's float32."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from model_export.batch import Batch
from model_export.reference import DoubleLSTM, Doubles
from service.arrays import Floats, Ids
from train.model.lstm import State, TiedLSTM, layer_sizes

TOP = 5
ROWS = 32


@dataclass(frozen=True)
class Results:
    """The figures of a batch: N tokens, B sequences, V vocabulary, S state size."""

    scores: Doubles  # (N, 1), the log-probabilities of the targets
    best: Doubles  # (N, TOP), those of the words that the graphs call most probable
    largest: Doubles  # (N, TOP), the largest of all, in order
    entropies: Doubles  # (N, 1), in nats
    magnitude: Doubles  # (N, 1), the largest |log-probability|
    ends: Doubles  # (B, V), the distributions after the last token
    states: Doubles  # (B, S)


def exact_results(model: DoubleLSTM, batch: Batch, top_ids: Ids) -> Results:
    """Compute a batch in float64. `top_ids` (N, TOP) are the words of `best`."""
    hidden, states = model.forward(batch.ids, batch.lengths, batch.states)
    return _results(lambda rows: model.log_distribution(hidden[rows]), batch, top_ids, states)


@torch.no_grad()
def torch_results(model: TiedLSTM, batch: Batch, top_ids: Ids) -> Results:
    """Compute a batch with torch in float32, one sequence at a time, without padding."""
    vectors, states = [], []
    for ids, length, start in zip(batch.ids, batch.lengths, batch.states, strict=True):
        outputs, end = model(torch.from_numpy(ids[:length, None]), _unpack(model, start))
        vectors.append(outputs[:, 0])
        states.append(torch.cat([part.double().ravel() for layer in end for part in layer]).numpy())
    hidden = torch.cat(vectors)  # (N, D)

    def log_distribution(rows: slice | Ids) -> Doubles:
        found: Doubles = torch.log_softmax(model.logits(hidden[rows]), dim=-1).double().numpy()
        return found

    return _results(log_distribution, batch, top_ids, np.stack(states))


def _results(
    log_distribution: Callable[[slice | Ids], Doubles], batch: Batch, top_ids: Ids, states: Doubles
) -> Results:
    """Summarise the distributions (N, V) in blocks of rows, because all rows of a large vocabulary
    would take gigabytes.
    """
    blocks = []
    for begin in range(0, len(batch.targets), ROWS):
        rows = slice(begin, begin + ROWS)
        values = log_distribution(rows)
        top = np.sort(np.partition(values, -top_ids.shape[1], axis=1)[:, -top_ids.shape[1] :])
        blocks.append(
            (
                np.take_along_axis(values, batch.targets[rows, None], axis=1),
                np.take_along_axis(values, top_ids[rows], axis=1),
                top[:, ::-1],
                -(np.exp(values) * values).sum(axis=1, keepdims=True),
                np.abs(values).max(axis=1, keepdims=True),
            )
        )
    scores, best, largest, entropies, magnitude = (
        np.concatenate(parts) for parts in zip(*blocks, strict=True)
    )
    ends = log_distribution(batch.last)
    return Results(scores, best, largest, entropies, magnitude, ends, states)


def _unpack(model: TiedLSTM, state: Floats) -> State:
    """Split a state (S,) into h and c of every layer, each (1, 1, width)."""
    sizes = [width for _, width in layer_sizes(model.config) for _ in ("h", "c")]
    parts = [torch.from_numpy(p)[None, None] for p in np.split(state, np.cumsum(sizes)[:-1])]
    return list(zip(parts[::2], parts[1::2], strict=True))
