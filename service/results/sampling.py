"""Sampling: draw the next token from the model's distribution."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.arrays import Floats
from service.results.distribution import most_probable
from service.results.options import GenerationOptions


@dataclass(frozen=True, slots=True)
class Step:
    """A drawn token. Log-probabilities are natural and the model's own at any temperature."""

    id: int
    logprob: float
    top_ids: list[int]
    top_logprobs: list[float]


class Sampler:
    """The source of one choice's tokens. Not thread-safe."""

    def __init__(self, options: GenerationOptions, excluded: int | None) -> None:
        """Prepare to draw with `options`; the id `excluded` is never drawn."""
        self._options = options
        self._excluded = excluded
        seed = options.seed
        self._random = np.random.default_rng(None if seed is None else list(seed))

    def __call__(self, log_probabilities: Floats) -> Step:
        """Draw a token from log-probabilities (V,)."""
        row = log_probabilities.astype(np.float64)
        top = most_probable(row, min(self._options.top, len(row)))
        token = self._draw(row.copy())
        return Step(token, float(row[token]), top.tolist(), row[top].tolist())

    def _draw(self, row: NDArray[np.float64]) -> int:
        """Return the id drawn from natural log-probabilities (V,), which it overwrites."""
        options = self._options
        if self._excluded is not None:
            row[self._excluded] = -np.inf
        if options.temperature == 0:
            return int(row.argmax())
        with np.errstate(over="ignore"):  # the smallest temperatures leave one token
            weights = np.exp((row - row.max()) / options.temperature)
        order = np.argsort(-weights, kind="stable")
        cumulative = np.cumsum(weights[order])
        kept = int(np.searchsorted(cumulative, options.top_p * cumulative[-1])) + 1
        kept = min(kept, len(order))
        mark = self._random.random() * cumulative[kept - 1]
        return int(order[min(int(np.searchsorted(cumulative[:kept], mark, "right")), kept - 1)])
