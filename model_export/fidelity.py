"""The cost of int8: the same text through two engines, distribution by distribution."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model_export.errors import FidelityError
from service.arrays import Floats
from service.inference.engine import OnnxEngine

STREAMS = 16
STEPS = 16
LARGEST_RISE = 0.005
# A wrong graph can lower the perplexity of a model that has learnt little. Right graphs measured
# 0.00003 to 0.004 nats.
LARGEST_DIVERGENCE = 0.02


@dataclass(frozen=True)
class Fidelity:
    """The comparison of an int8 model with the float32 model, as `manifest.json` has it.

    Differences are of the log-probabilities of the text's words, in nats. `mean_kl_divergence` is
    that of the int8 distributions from float32's, in nats. `top_1_agreement` is the fraction of
    tokens at which both have the same most probable word.
    """

    perplexity_float32: float
    perplexity_int8: float
    mean_abs_logprob_difference: float
    max_abs_logprob_difference: float
    mean_kl_divergence: float
    top_1_agreement: float
    tokens: int

    @property
    def rise(self) -> float:
        """The relative increase of perplexity by int8."""
        return self.perplexity_int8 / self.perplexity_float32 - 1

    def check(self) -> None:
        """Raise FidelityError if int8 raises the perplexity by more than 0.5 %, or if its
        distributions differ from float32's by more than rounded weights explain.
        """
        if not self.rise <= LARGEST_RISE:
            raise FidelityError(
                f"int8 raises the validation perplexity by {self.rise:.2%}, more than "
                f"{LARGEST_RISE:.1%}; no bundle was written; export with --precision float32"
            )
        if not self.mean_kl_divergence <= LARGEST_DIVERGENCE:
            raise FidelityError(
                "the int8 distributions differ from float32's by a KL divergence of "
                f"{self.mean_kl_divergence:.2g} nats a token, more than {LARGEST_DIVERGENCE}; no "
                "bundle was written; export with --precision float32"
            )


def compare(reference: OnnxEngine, other: OnnxEngine, ids: NDArray[np.int32], end: int) -> Fidelity:
    """Compare the float32 engine `reference` with the int8 engine `other`.

    The ids (N,) are read as up to 16 parallel streams, each from the zero state after `<eos>` (id
    `end`). The remainder is left out.
    """
    streams = min(STREAMS, len(ids))
    length = len(ids) // streams
    targets = ids[: streams * length].reshape(streams, length).astype(np.int64)  # (B, T)
    inputs = np.concatenate([np.full((streams, 1), end, np.int64), targets[:, :-1]], axis=1)
    states = [np.tile(engine.zero_state(), (streams, 1)) for engine in (reference, other)]
    nats = np.zeros(2)
    mean = largest = divergence = agreement = 0.0
    for begin in tqdm(
        range(0, length, STEPS), desc="comparing precisions", leave=False, disable=None
    ):
        chunk = inputs[:, begin : begin + STEPS]
        target_ids = targets[:, begin : begin + STEPS].ravel()
        rows: list[Floats] = []
        for index, engine in enumerate((reference, other)):
            lengths = np.full(streams, chunk.shape[1], np.int32)
            hidden, states[index] = engine.encode(chunk, lengths, states[index])
            rows.append(engine.log_distribution(hidden))  # (N, V)
        expected, found = (
            row[np.arange(len(target_ids)), target_ids].astype(np.float64) for row in rows
        )
        nats -= [expected.sum(), found.sum()]
        difference = np.abs(expected - found)
        mean += float(difference.sum())
        largest = max(largest, float(difference.max()))
        divergence += float((np.exp(rows[0]) * (rows[0] - rows[1])).sum(dtype=np.float64))
        agreement += int((rows[0].argmax(axis=1) == rows[1].argmax(axis=1)).sum())
    count = streams * length
    return Fidelity(
        perplexity_float32=math.exp(nats[0] / count),
        perplexity_int8=math.exp(nats[1] / count),
        mean_abs_logprob_difference=mean / count,
        max_abs_logprob_difference=largest,
        mean_kl_divergence=divergence / count,
        top_1_agreement=agreement / count,
        tokens=count,
    )
