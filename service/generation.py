"""Continuing a text: one token after another, each drawn from the model's distribution."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np

from service.distribution import most_probable
from service.inference.engine import Floats
from service.language_model import LanguageModel
from service.tokenizer import Ids, Tokenizer

# How many prompt ids decide how a continuation is joined to it.
JUNCTION = 32


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
        row = row / sampling.temperature
        weights = np.exp(row - row.max())
        order = np.argsort(-weights, kind="stable")
        cumulative = np.cumsum(weights[order])
        kept = int(np.searchsorted(cumulative, sampling.top_p * cumulative[-1])) + 1
        kept = min(kept, len(order))
        mark = self._random.random() * cumulative[kept - 1]
        return int(order[min(int(np.searchsorted(cumulative[:kept], mark, "right")), kept - 1)])


async def generate(
    model: LanguageModel, prompt: Ids, sampler: Sampler, max_tokens: int, *, bos: bool
) -> AsyncIterator[Step]:
    """Tokens after `prompt`; past `<eos>` too, so the caller decides where to stop."""
    ids, state = prompt, None
    for _ in range(max_tokens):
        step, state = await model.ask(ids, sampler, state, bos=bos)
        yield step
        ids = np.array([step.id], np.int64)


class Continuation:
    """The text of generated ids as it reads after its prompt, and where each token starts in it."""

    def __init__(self, tokenizer: Tokenizer, prompt: Ids) -> None:
        self._tokenizer = tokenizer
        self._before = prompt[-JUNCTION:]
        self._prefix = tokenizer.decode(self._before)
        self.ids: list[int] = []
        self.starts: list[int] = []
        self.text = ""

    def add(self, token: int) -> None:
        self.ids.append(token)
        grown = self._decode()
        if not grown.startswith(self.text):  # joining changed what stood before
            self.text = self.text.rstrip()
        piece = grown[len(self.text) :] if grown.startswith(self.text) else grown
        self.starts.append(len(grown) - len(piece.lstrip(" ")))
        self.text = grown

    def _decode(self) -> str:
        whole = self._tokenizer.decode(np.concatenate([self._before, np.array(self.ids, np.int64)]))
        if whole.startswith(self._prefix):
            return whole[len(self._prefix) :]
        return " " + self._tokenizer.decode(np.array(self.ids, np.int64))
