"""Continuing a text: one token after another, each drawn from the model's distribution."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np

from service.arrays import Floats
from service.language_model import LanguageModel
from service.results.distribution import most_probable


@dataclass(frozen=True, slots=True)
class Step:
    """A drawn token; natural log-probabilities under the model, whatever the temperature."""

    id: int
    logprob: float
    top_ids: list[int]
    top_logprobs: list[float]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw: `temperature` 0 takes the most probable token; `top_p` draws from the fewest
    most probable tokens that together reach it (Holtzman et al. 2019); `excluded` never comes.
    """

    temperature: float
    top_p: float
    excluded: int | None
    top: int = 0


class Sampler:
    """One choice's source of tokens: the same seed gives the same tokens. Not for two threads."""

    def __init__(self, sampling: Sampling, seed: list[int] | None) -> None:
        self._sampling = sampling
        self._random = np.random.default_rng(seed)

    def __call__(self, log_probabilities: Floats) -> Step:
        """Draw from log-probabilities (V,)."""
        row = log_probabilities.astype(np.float64)
        top = most_probable(row, min(self._sampling.top, len(row)))
        token = self._draw(row.copy())
        return Step(token, float(row[token]), top.tolist(), row[top].tolist())

    def _draw(self, row: np.ndarray) -> int:
        sampling = self._sampling
        if sampling.excluded is not None:
            row[sampling.excluded] = -np.inf
        if sampling.temperature == 0:
            return int(row.argmax())
        with np.errstate(over="ignore"):  # of the tiniest temperatures, which leave one token
            weights = np.exp((row - row.max()) / sampling.temperature)
        order = np.argsort(-weights, kind="stable")
        cumulative = np.cumsum(weights[order])
        kept = int(np.searchsorted(cumulative, sampling.top_p * cumulative[-1])) + 1
        kept = min(kept, len(order))
        mark = self._random.random() * cumulative[kept - 1]
        return int(order[min(int(np.searchsorted(cumulative[:kept], mark, "right")), kept - 1)])


async def generate(
    model: LanguageModel, state: Floats, sampler: Sampler, max_tokens: int
) -> AsyncIterator[Step]:
    """Tokens after a state; past `<eos>` too, so the caller decides where to stop. The request was
    admitted when what leads to the state was read: none of its steps is refused.
    """
    ids = np.empty(0, np.int64)
    for _ in range(max_tokens):
        step, state = await model.ask(ids, sampler, state, admitted=True)
        yield step
        ids = np.array([step.id], np.int64)
