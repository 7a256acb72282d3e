"""What a bundle scores as it is served, for its card: a test text, and examples to look at."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from service.bundle import Bundle
from service.inference.engine import OnnxEngine
from service.inference.task import InferenceTask, run_batch
from service.text.tokenizer import Tokenizer

STEPS = 64
BATCH = 64
SURPRISES = 3

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """Of a text, each line ended by `<eos>`: perplexities per token, and bits per byte, carried."""

    tokens: int
    carried: float
    by_sentence: float
    bits_per_byte: float


@dataclass(frozen=True)
class Example:
    """A text between two `<eos>`, and its most surprising tokens with their bits."""

    text: str
    perplexity: float
    surprises: list[tuple[str, float]]


class Served:
    def __init__(self, bundle: Bundle) -> None:
        self._engine = OnnxEngine(bundle)
        self._tokenizer = Tokenizer(bundle.contents["tokenizer.json"], bundle.manifest)

    def figures(self, text: str) -> Figures:
        """Of a text whose lines are sentences; a newline is a token and a byte."""
        ids = [self._line(line) for line in text.removesuffix("\n").split("\n")]
        whole = -self._logprobs([np.concatenate(ids)])[0].sum()
        ids.sort(key=len)
        single = 0.0
        for begin in tqdm(
            range(0, len(ids), BATCH), desc="scoring sentences", leave=False, disable=None
        ):
            single -= sum(rows.sum() for rows in self._logprobs(ids[begin : begin + BATCH]))
        tokens = sum(map(len, ids))
        size = len(text.removesuffix("\n").encode()) + 1
        return Figures(
            tokens, math.exp(whole / tokens), math.exp(single / tokens), whole / math.log(2) / size
        )

    def example(self, text: str) -> Example:
        logprobs = self._logprobs([self._line(text)])[0]
        found = self._tokenizer.encode(text)
        spellings = [text[a:b] for a, b in zip(found.starts, found.ends, strict=True)]
        bits = -logprobs[: len(spellings)] / math.log(2)
        first = np.argsort(-bits, kind="stable")[:SURPRISES]
        surprises = [(spellings[index], float(bits[index])) for index in first]
        return Example(text, math.exp(-logprobs.mean()), surprises)

    def _line(self, line: str) -> NDArray[np.int64]:
        return np.append(self._tokenizer.encode(line).ids, self._tokenizer.end_id)

    def _logprobs(self, texts: list[NDArray[np.int64]]) -> list[Floats]:
        """Of the ids of each text, read after `<eos>` from the zero state, in one batch."""
        end = self._tokenizer.end_id
        reading = [
            InferenceTask(np.append(end, ids[:-1]), ids, self._engine.zero_state()) for ids in texts
        ]
        longest = max(map(len, texts))
        for _ in tqdm(
            range(0, longest, STEPS), desc="scoring", leave=False, disable=longest < 999 or None
        ):
            run_batch(self._engine, [s for s in reading if s.remaining], STEPS)
        return [sequence.decoded().logprobs.astype(np.float64) for sequence in reading]
