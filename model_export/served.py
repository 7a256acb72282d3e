"""The scores of a bundle as the service computes them, for its card: a test text and examples."""

import math
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from model_export.reference import Doubles
from service.arrays import Ids
from service.bundle import Bundle
from service.inference.engine import OnnxEngine
from service.inference.task import InferenceTask, run_batch
from service.text.tokenizer import Tokenizer
from train.evaluation import Total, sentence_bounds

STEPS = 64
BATCH = 64
SURPRISES = 3
LONG_TEXT = 999  # tokens; longer texts show a progress bar


@dataclass(frozen=True)
class TextFigures:
    """Perplexities of a text by the definitions of `train.evaluation`, and bits per byte, carried.

    Every line ends with `<eos>`.
    """

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
    """A bundle's engine and tokenizer, without a server."""

    def __init__(self, bundle: Bundle) -> None:
        self._engine = OnnxEngine(bundle)
        self._tokenizer = Tokenizer(bundle.contents["tokenizer.json"], bundle.manifest)

    def figures(self, text: str) -> TextFigures:
        """Score a text whose lines are sentences. A newline is one token and one byte."""
        text = text.removesuffix("\n")
        ids = np.concatenate([self._line(line) for line in text.split("\n")])
        carried = Total(-float(self._logprobs([ids])[0].sum()), len(ids))
        by_sentence = Total(self._nats_by_sentence(ids), len(ids))
        return TextFigures(
            len(ids),
            carried.perplexity,
            by_sentence.perplexity,
            carried.bits_per_byte(len(text.encode()) + 1),
        )

    def example(self, text: str) -> Example:
        """Score a text as one sentence, and find its most surprising tokens."""
        logprobs = self._logprobs([self._line(text)])[0]
        found = self._tokenizer.encode(text)
        spellings = [text[a:b] for a, b in zip(found.starts, found.ends, strict=True)]
        bits = -logprobs[: len(spellings)] / math.log(2)
        first = np.argsort(-bits, kind="stable")[:SURPRISES]
        surprises = [(spellings[index], float(bits[index])) for index in first]
        return Example(text, math.exp(-logprobs.mean()), surprises)

    def _line(self, line: str) -> Ids:
        """Return the ids (N,) of a line and of its `<eos>`."""
        return np.append(self._tokenizer.encode(line).ids, self._tokenizer.end_id)

    def _nats_by_sentence(self, ids: Ids) -> float:
        bounds = sentence_bounds(ids, self._tokenizer.end_id)
        nats = 0.0
        for begin in tqdm(
            range(0, len(bounds), BATCH), desc="scoring sentences", leave=False, disable=None
        ):
            batch = [ids[start:stop] for start, stop in bounds[begin : begin + BATCH]]
            nats -= sum(float(rows.sum()) for rows in self._logprobs(batch))
        return nats

    def _logprobs(self, texts: list[Ids]) -> list[Doubles]:
        """Return the log-probabilities (N,) of each text's ids, read in one batch from the zero
        state after `<eos>`.
        """
        end = self._tokenizer.end_id
        tasks = [
            InferenceTask(np.append(end, ids[:-1]), ids, self._engine.zero_state()) for ids in texts
        ]
        longest = max(map(len, texts))
        steps = range(0, longest, STEPS)
        for _ in tqdm(steps, desc="scoring", leave=False, disable=longest < LONG_TEXT or None):
            run_batch(self._engine, [task for task in tasks if task.remaining], STEPS)
        return [task.decoded().logprobs.astype(np.float64) for task in tasks]
