"""What a precision costs: the same text through two engines, distribution by distribution."""

import math

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model_export.errors import ExportError
from service.arrays import Floats
from service.inference.engine import OnnxEngine

STREAMS = 16
STEPS = 16
LARGEST_RISE = 0.005
# A wrong graph can lower the perplexity of a model that has learnt little. Right ones: 0.00003 to
# 0.004 nats.
LARGEST_DIVERGENCE = 0.02


def compare(
    reference: OnnxEngine, other: OnnxEngine, ids: NDArray[np.int32], end: int
) -> dict[str, float]:
    """Perplexities of both, mean and largest |Δ logprob| of the text's words, mean KL divergence
    of the reference's distributions from the other's in nats, and how often the most probable
    word is the same.

    The ids (N,) are read as parallel streams, each from a zero state after `<eos>`; what does not
    fill them is left out.
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
        piece = inputs[:, begin : begin + STEPS]
        wanted = targets[:, begin : begin + STEPS].ravel()
        rows: list[Floats] = []
        for index, engine in enumerate((reference, other)):
            lengths = np.full(streams, piece.shape[1], np.int32)
            hidden, states[index] = engine.encode(piece, lengths, states[index])
            rows.append(engine.log_distribution(hidden))  # (N, V)
        expected, got = (row[np.arange(len(wanted)), wanted].astype(np.float64) for row in rows)
        nats -= [expected.sum(), got.sum()]
        difference = np.abs(expected - got)
        mean += float(difference.sum())
        largest = max(largest, float(difference.max()))
        divergence += float((np.exp(rows[0]) * (rows[0] - rows[1])).sum(dtype=np.float64))
        agreement += int((rows[0].argmax(axis=1) == rows[1].argmax(axis=1)).sum())
    count = streams * length
    return {
        "perplexity_float32": math.exp(nats[0] / count),
        "perplexity_int8": math.exp(nats[1] / count),
        "mean_abs_logprob_difference": mean / count,
        "max_abs_logprob_difference": largest,
        "mean_kl_divergence": divergence / count,
        "top_1_agreement": agreement / count,
        "tokens": count,
    }


def check_fidelity(figures: dict[str, float]) -> None:
    """Raise ExportError if int8 raises the perplexity by more than 0.5 %, or if its distributions
    are further from float32's than rounded weights explain.
    """
    rise = figures["perplexity_int8"] / figures["perplexity_float32"] - 1
    if not rise <= LARGEST_RISE:
        raise ExportError(
            f"int8 raises the validation perplexity by {rise:.2%}, more than {LARGEST_RISE:.1%}; "
            "no bundle was written; export with --precision float32"
        )
    divergence = figures["mean_kl_divergence"]
    if not divergence <= LARGEST_DIVERGENCE:
        raise ExportError(
            f"the int8 distributions differ from float32's by a KL divergence of {divergence:.2g} "
            f"nats a token, more than {LARGEST_DIVERGENCE}; no bundle was written; export with "
            "--precision float32"
        )
