"""Continuing a text: one token after another, each drawn from the model's distribution."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np

from service.distribution import most_probable
from service.inference.engine import Floats
from service.language_model import LanguageModel
from service.tokenizer import Ids, Tokenizer

# How many ids before a token decide how it is joined to them.
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
        with np.errstate(over="ignore"):  # of the tiniest temperatures, which leave one token
            weights = np.exp((row - row.max()) / sampling.temperature)
        order = np.argsort(-weights, kind="stable")
        cumulative = np.cumsum(weights[order])
        kept = int(np.searchsorted(cumulative, sampling.top_p * cumulative[-1])) + 1
        kept = min(kept, len(order))
        mark = self._random.random() * cumulative[kept - 1]
        return int(order[min(int(np.searchsorted(cumulative[:kept], mark, "right")), kept - 1)])


async def generate(
    model: LanguageModel, prompt: Ids, sampler: Sampler, max_tokens: int, *, bos: bool
) -> AsyncIterator[Step]:
    """Tokens after `prompt`; past `<eos>` too, so the caller decides where to stop. The request
    was admitted as a whole: none of its steps is refused.
    """
    ids, state = prompt, None
    for _ in range(max_tokens):
        step, state = await model.ask(ids, sampler, state, bos=bos, admitted=True)
        yield step
        ids = np.array([step.id], np.int64)


class Continuation:
    """The text of generated ids as it reads after its prompt, and where each token starts in it.

    A token can change the space before the one that it follows: `well` `-` reads `well -`, and
    with `known` after it `well-known`. The prompt itself stands as it was sent.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Ids) -> None:
        self._tokenizer = tokenizer
        self._last = prompt[-JUNCTION:]
        self.starts: list[int] = []
        self.text = ""

    @property
    def settled(self) -> int:
        """How many characters of the text no token to come can change."""
        if not self.starts or self.text[-1:].isalnum():
            return len(self.text)
        return len(self.text[: self.starts[-1]].rstrip(" "))

    def add(self, token: int) -> None:
        longer = np.append(self._last, token)
        before, after = self._tokenizer.decode(self._last), self._tokenizer.decode(longer)
        self._last = longer[-JUNCTION:]
        same = _common(before, after)
        cut = len(self.text) - (len(before) - same)
        if cut < 0:  # the prompt's end would change
            cut, new = len(self.text), " " + self._tokenizer.decode(longer[-1:])
        else:
            new = after[same:]
        old, self.text = self.text, self.text[:cut] + new
        for at, start in enumerate(self.starts):
            if start > cut:
                self.starts[at] = _place(self.text, cut, _solid(old[cut:start]))
        self.starts.append(_place(self.text, cut, _solid(old[cut:])))


def _common(left: str, right: str) -> int:
    """How many characters two texts begin with alike."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(left), len(right)))


def _solid(text: str) -> int:
    return len(text) - text.count(" ")


def _place(text: str, begin: int, solid: int) -> int:
    """Where the next character stands after so many from `begin` on, spaces not counted."""
    for at in range(begin, len(text)):
        if text[at] != " ":
            if solid == 0:
                return at
            solid -= 1
    return len(text)
