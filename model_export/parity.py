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
from train.model import State, TiedLSTM, layer_sizes

# A single measure of rounding is small by chance too often. The largest of four counts.
ROUNDINGS = 3
LAST_BIT = float(np.finfo(np.float32).eps)
TOP = 5


@dataclass(frozen=True)
class Results:
    """What one arithmetic makes of a batch: N tokens, B sequences, V vocabulary, S state size."""

    log_distribution: Doubles  # (N, V)
    states: Doubles  # (B, S)

    def logprobs(self, ids: Ids) -> Doubles:
        """Ids (N, k) → their log-probabilities (N, k)."""
        return np.take_along_axis(self.log_distribution, ids, axis=1)

    def entropies(self) -> Doubles:
        """(N, 1), in nats."""
        terms = np.exp(self.log_distribution) * self.log_distribution
        entropies: Doubles = -terms.sum(axis=1, keepdims=True)
        return entropies


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
        truth = _exact(exact, batch)
        samples = [_torch(model, batch), *(_exact(other, batch) for other in rounded)]
        scores, ends = _figures(engine, batch, truth, samples, layer_parts(model))
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
    engine: OnnxEngine,
    batch: Batch,
    truth: Results,
    samples: list[Results],
    parts: dict[str, slice],
) -> tuple[list[Figure], list[Figure]]:
    """The figures of tokens, log-probabilities first, and those of states. `samples` are the same
    results by other arithmetic, torch's first.
    """
    hidden, states = engine.encode(batch.ids, np.array(batch.lengths, np.int32), batch.states)
    decoded = engine.decode(hidden, batch.targets, details=True, top=TOP)
    assert decoded.top_ids is not None
    last, top_ids = batch.last, decoded.top_ids
    largest = np.abs(truth.log_distribution).max(axis=1, keepdims=True)  # (N, 1)

    def figure(
        name: str, unit: str, found: Any, of: Of, magnitude: Doubles | None = None
    ) -> Figure:
        """`of` picks (rows, columns) of results; every row has a noise of its own."""
        exact, torch_has, *others = (of(results) for results in (truth, *samples))
        noise = np.abs(np.array([torch_has, *others]) - exact).max(axis=(0, 2))
        if unit == "token":  # rounding adds up from token to token
            noise = batch.largest_so_far(noise)
        return Figure(
            name,
            unit,
            np.asarray(found, np.float64).reshape(exact.shape),
            exact,
            torch_has,
            noise[:, None],
            np.maximum(1, np.abs(exact) if magnitude is None else magnitude),
        )

    def top(results: Results) -> Doubles:
        return -np.sort(-results.log_distribution, axis=1)[:, : top_ids.shape[1]]

    def part_of(part: slice) -> Of:
        return lambda results: results.states[:, part]

    def best(results: Results) -> Doubles:
        return results.logprobs(top_ids)

    def scores(results: Results) -> Doubles:
        return results.logprobs(batch.targets[:, None])

    def ends(results: Results) -> Doubles:
        return results.log_distribution[last]

    rows = engine.log_distribution(hidden[last])
    return [
        figure("log-probabilities", "token", decoded.logprobs, scores, largest),
        figure("largest log-probabilities", "token", decoded.top_logprobs, top, largest),
        figure("most probable words", "token", decoded.top_logprobs, best, largest),
        figure("entropies", "token", decoded.entropies, Results.entropies, largest),
        figure("distributions after the end", "sequence", rows, ends, largest[last]),
    ], [figure(name, "sequence", states[:, part], part_of(part)) for name, part in parts.items()]


def _exact(model: DoubleLSTM, batch: Batch) -> Results:
    hidden, states = model.read(batch.ids, batch.lengths, batch.states)
    return Results(model.log_distribution(hidden), states)


@torch.no_grad()
def _torch(model: TiedLSTM, batch: Batch) -> Results:
    """One sequence at a time without padding, in float32."""
    rows, states = [], []
    for ids, length, start in zip(batch.ids, batch.lengths, batch.states, strict=True):
        hidden, end = model(torch.from_numpy(ids[:length, None]), _unpack(model, start))
        rows.append(torch.log_softmax(model.logits(hidden[:, 0]), dim=-1).double().numpy())
        states.append(torch.cat([part.double().ravel() for layer in end for part in layer]).numpy())
    return Results(np.concatenate(rows), np.stack(states))


def _unpack(model: TiedLSTM, state: Floats) -> State:
    """(S,) → h and c of every layer, each (1, 1, width)."""
    sizes = [width for _, width in layer_sizes(model.config) for _ in ("h", "c")]
    parts = [torch.from_numpy(p)[None, None] for p in np.split(state, np.cumsum(sizes)[:-1])]
    return list(zip(parts[::2], parts[1::2], strict=True))
