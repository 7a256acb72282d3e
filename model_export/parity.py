"""The parity check: a bundle's graphs against its checkpoint, before the bundle is written.

The graphs run as the service runs them. `DoubleLSTM` computes the exact figures. Torch in float32,
and weights whose last bit is changed at random, measure how far rounding alone moves a figure.
`Figure` compares the graphs' error with that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_export.batch import Batch, batches
from model_export.figure import Figure
from model_export.reference import DoubleLSTM, Doubles
from model_export.results import TOP, Results, exact_results, torch_results
from service.inference.engine import Decoded, OnnxEngine
from train.model.lstm import TiedLSTM, layer_sizes

# One measure of rounding is often small by chance. The largest of torch's and of these counts.
ROUNDINGS = 3
LAST_BIT = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Parity:
    """The errors of the graphs and of torch's float32, as `manifest.json` has them.

    Log-probabilities are in nats. All differences are from the exact figures in float64.
    """

    max_abs_logprob_difference: float
    mean_abs_logprob_difference: float
    max_abs_state_difference: float
    torch_max_abs_logprob_difference: float
    torch_mean_abs_logprob_difference: float
    torch_max_abs_state_difference: float
    max_abs_state: float


Select = Callable[[Results], Doubles]


@np.errstate(over="ignore", invalid="ignore")  # `Figure` reports values that are not finite
def check_parity(model: TiedLSTM, engine: OnnxEngine, seed: int = 0) -> Parity:
    """Compare the graphs in `engine` with the checkpoint's `model` on random batches.

    Raises ParityError, which names the figure and the input, if a difference is above its limit.
    """
    exact = DoubleLSTM.of(model)
    random = np.random.default_rng(seed)
    rounded = [exact.rounded(random, LAST_BIT) for _ in range(ROUNDINGS)]
    logprobs: list[Figure] = []
    states: list[Figure] = []
    for batch in batches(exact, engine.vocabulary_size, engine.state_size, random):
        comparison = _Comparison(model, engine, batch, exact, rounded)
        token_figures, state_figures = comparison.token_figures(), comparison.state_figures()
        for figure in (*token_figures, *state_figures):
            figure.check(batch.name)
        logprobs.append(token_figures[0])
        states += state_figures
    errors = np.concatenate([figure.errors for figure in logprobs])
    torch_errors = np.concatenate([figure.torch_errors for figure in logprobs])
    return Parity(
        max_abs_logprob_difference=float(errors.max()),
        mean_abs_logprob_difference=float(errors.mean()),
        max_abs_state_difference=max(float(figure.errors.max()) for figure in states),
        torch_max_abs_logprob_difference=float(torch_errors.max()),
        torch_mean_abs_logprob_difference=float(torch_errors.mean()),
        torch_max_abs_state_difference=max(float(f.torch_errors.max()) for f in states),
        max_abs_state=max(float(np.abs(figure.exact).max()) for figure in states),
    )


def layer_parts(model: TiedLSTM) -> dict[str, slice]:
    """Return the places of h and c of every layer in a state (S,)."""
    parts, end = {}, 0
    for index, (_, width) in enumerate(layer_sizes(model.config), 1):
        for kind in ("hidden", "cell"):
            parts[f"{kind} states of layer {index}"] = slice(end, end := end + width)
    return parts


class _Comparison:
    """One batch in all arithmetics, and the figures that compare them."""

    def __init__(
        self,
        model: TiedLSTM,
        engine: OnnxEngine,
        batch: Batch,
        exact: DoubleLSTM,
        rounded: list[DoubleLSTM],
    ) -> None:
        self._model, self._engine, self._batch = model, engine, batch
        lengths = np.array(batch.lengths, np.int32)
        self._hidden, self._states = engine.encode(batch.ids, lengths, batch.states)
        self._decoded: Decoded = engine.decode(self._hidden, batch.targets, details=True, top=TOP)
        assert self._decoded.top_ids is not None
        top_ids = self._decoded.top_ids
        self._exact = exact_results(exact, batch, top_ids)
        self._torch = torch_results(model, batch, top_ids)
        self._rounded = [exact_results(other, batch, top_ids) for other in rounded]

    def token_figures(self) -> list[Figure]:
        """Return the figures of distributions, the targets' log-probabilities first."""
        found, magnitude = self._decoded, self._exact.magnitude
        # An entropy is a sum of V terms. Right graphs of 200,000 words lose 15 times as much.
        summed = magnitude * max(1, np.sqrt(self._engine.vocabulary_size) / 16)
        last = self._batch.last
        ends = self._engine.log_distribution(self._hidden[last])
        return [
            self._tokens("log-probabilities", found.logprobs, lambda r: r.scores, magnitude),
            self._tokens("most probable words", found.top_logprobs, lambda r: r.best, magnitude),
            self._tokens("ranking", found.top_logprobs, lambda r: r.largest, magnitude),
            self._tokens("entropies", found.entropies, lambda r: r.entropies, summed),
            self._sequences("distributions after the end", ends, lambda r: r.ends, magnitude[last]),
        ]

    def state_figures(self) -> list[Figure]:
        """Return the figures of the states after the batch, by layer."""

        def select(part: slice) -> Select:
            return lambda results: results.states[:, part]

        return [
            self._sequences(name, self._states[:, part], select(part))
            for name, part in layer_parts(self._model).items()
        ]

    def _tokens(self, name: str, found: Any, select: Select, magnitude: Doubles) -> Figure:
        """Compare a figure of tokens. Its noise grows along a sequence as rounding adds up."""
        noise = self._batch.largest_so_far(self._noise(select))
        return self._figure(name, "token", found, select, noise, magnitude)

    def _sequences(
        self, name: str, found: Any, select: Select, magnitude: Doubles | None = None
    ) -> Figure:
        return self._figure(name, "sequence", found, select, self._noise(select), magnitude)

    def _noise(self, select: Select) -> Doubles:
        """Return the largest change of each row (rows,) by rounding."""
        others = np.array([select(results) for results in (self._torch, *self._rounded)])
        noise: Doubles = np.abs(others - select(self._exact)).max(axis=(0, 2))
        return noise

    def _figure(
        self,
        name: str,
        unit: str,
        found: Any,
        select: Select,
        noise: Doubles,
        magnitude: Doubles | None,
    ) -> Figure:
        exact = select(self._exact)
        return Figure(
            name,
            unit,
            np.asarray(found, np.float64).reshape(exact.shape),
            exact,
            select(self._torch),
            noise[:, None],
            np.maximum(1, np.abs(exact) if magnitude is None else magnitude),
        )
