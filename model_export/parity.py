"""The gate that every bundle passes before it exists: its graphs against its checkpoint.

The graphs run as they are served. `DoubleLSTM` computes what is exact. Torch's float32, and weights
whose last bit is changed at random, measure how far rounding alone moves a figure; `Figure` judges
the graphs by that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from model_export.batch import Batch, batches
from model_export.figure import Figure
from model_export.layers import Floats
from model_export.reference import DoubleLSTM, Doubles, Ids
from service.inference.engine import OnnxEngine
from train.model.lstm import State, TiedLSTM, layer_sizes

# A single measure of rounding is small by chance too often. The largest of four counts.
ROUNDINGS = 3
LAST_BIT = float(np.finfo(np.float32).eps)
TOP = 5
ROWS = 32


@dataclass(frozen=True)
class Results:
    """What one arithmetic makes of a batch: N tokens, B sequences, V vocabulary, S state size."""

    scores: Doubles  # (N, 1), the log-probabilities of the targets
    best: Doubles  # (N, TOP), those of the words that the graphs call most probable
    largest: Doubles  # (N, TOP), the largest of all, in order
    entropies: Doubles  # (N, 1), in nats
    magnitude: Doubles  # (N, 1), the largest |log-probability|
    ends: Doubles  # (B, V), the distributions after the last token
    states: Doubles  # (B, S)


Of = Callable[[Results], Doubles]


@np.errstate(over="ignore", invalid="ignore")  # `Figure` reports what is not finite
def check_parity(model: TiedLSTM, engine: OnnxEngine, seed: int = 0) -> dict[str, float]:
    """Return the largest and the mean |Δ logprob| in nats and the largest |Δ state| of the graphs
    and of torch's float32, both from the exact figures, and the largest |state|.

    Raises ExportError that names the figure and the input if a difference is beyond its limit.
    """
    exact = DoubleLSTM.of(model)
    random = np.random.default_rng(seed)
    rounded = [exact.rounded(random, LAST_BIT) for _ in range(ROUNDINGS)]
    logprobs: list[Figure] = []
    states: list[Figure] = []
    for batch in batches(exact, engine.vocabulary_size, engine.state_size, random):
        scores, ends = _figures(model, engine, batch, exact, rounded)
        for figure in (*scores, *ends):
            figure.check(batch.name)
        logprobs.append(scores[0])
        states += ends
    errors = np.concatenate([figure.errors for figure in logprobs])
    by_torch = np.concatenate([figure.torch_errors for figure in logprobs])
    return {
        "max_abs_logprob_difference": float(errors.max()),
        "mean_abs_logprob_difference": float(errors.mean()),
        "max_abs_state_difference": max(float(figure.errors.max()) for figure in states),
        "torch_max_abs_logprob_difference": float(by_torch.max()),
        "torch_mean_abs_logprob_difference": float(by_torch.mean()),
        "torch_max_abs_state_difference": max(float(f.torch_errors.max()) for f in states),
        "max_abs_state": max(float(np.abs(figure.exact).max()) for figure in states),
    }


def layer_parts(model: TiedLSTM) -> dict[str, slice]:
    """Where h and c of every layer stand in a state (S,)."""
    parts, end = {}, 0
    for index, (_, width) in enumerate(layer_sizes(model.config), 1):
        for kind in ("hidden", "cell"):
            parts[f"{kind} states of layer {index}"] = slice(end, end := end + width)
    return parts


def _figures(
    model: TiedLSTM,
    engine: OnnxEngine,
    batch: Batch,
    exact: DoubleLSTM,
    rounded: list[DoubleLSTM],
) -> tuple[list[Figure], list[Figure]]:
    """The figures of tokens, log-probabilities first, and those of states."""
    hidden, states = engine.encode(batch.ids, np.array(batch.lengths, np.int32), batch.states)
    decoded = engine.decode(hidden, batch.targets, details=True, top=TOP)
    assert decoded.top_ids is not None
    top_ids = decoded.top_ids
    truth = _exact(exact, batch, top_ids)
    samples = [_torch(model, batch, top_ids)]
    samples += [_exact(other, batch, top_ids) for other in rounded]
    # An entropy is a sum of V terms. Right graphs of 200,000 words lose 15 times as much.
    summed = truth.magnitude * max(1, np.sqrt(engine.vocabulary_size) / 16)

    def figure(
        name: str, unit: str, found: Any, of: Of, magnitude: Doubles | None = None
    ) -> Figure:
        """`of` picks (rows, columns) of results; every row has a noise of its own."""
        right, torch_has, *others = (of(results) for results in (truth, *samples))
        noise = np.abs(np.array([torch_has, *others]) - right).max(axis=(0, 2))
        if unit == "token":  # rounding adds up from token to token
            noise = batch.largest_so_far(noise)
        return Figure(
            name,
            unit,
            np.asarray(found, np.float64).reshape(right.shape),
            right,
            torch_has,
            noise[:, None],
            np.maximum(1, np.abs(right) if magnitude is None else magnitude),
        )

    def part_of(part: slice) -> Of:
        return lambda results: results.states[:, part]

    magnitude = truth.magnitude
    ends = engine.log_distribution(hidden[batch.last])
    return [
        figure("log-probabilities", "token", decoded.logprobs, lambda r: r.scores, magnitude),
        figure("most probable words", "token", decoded.top_logprobs, lambda r: r.best, magnitude),
        figure("ranking", "token", decoded.top_logprobs, lambda r: r.largest, magnitude),
        figure("entropies", "token", decoded.entropies, lambda r: r.entropies, summed),
        figure(
            "distributions after the end", "sequence", ends, lambda r: r.ends, magnitude[batch.last]
        ),
    ], [
        figure(name, "sequence", states[:, part], part_of(part))
        for name, part in layer_parts(model).items()
    ]


def _exact(model: DoubleLSTM, batch: Batch, top_ids: Ids) -> Results:
    hidden, states = model.read(batch.ids, batch.lengths, batch.states)
    return _results(lambda rows: model.log_distribution(hidden[rows]), batch, top_ids, states)


@torch.no_grad()
def _torch(model: TiedLSTM, batch: Batch, top_ids: Ids) -> Results:
    """One sequence at a time without padding, in float32."""
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
    """The rows (N, V) are made and summed up block by block: of a large vocabulary all would take
    gigabytes.
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
    """(S,) → h and c of every layer, each (1, 1, width)."""
    sizes = [width for _, width in layer_sizes(model.config) for _ in ("h", "c")]
    parts = [torch.from_numpy(p)[None, None] for p in np.split(state, np.cumsum(sizes)[:-1])]
    return list(zip(parts[::2], parts[1::2], strict=True))
