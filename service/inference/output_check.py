"""A check that loaded graphs compute probabilities, run once before anything is served.

A bundle can have the right format, hashes and shapes, and still hold weights that are not numbers.
Nothing fails then: every score is NaN.
"""

import numpy as np

from service.arrays import Floats, Ids
from service.errors import BundleError
from service.inference.engine import Decoded, OnnxEngine

STEPS = 8
SEQUENCES = 8
TOP = 5
DAMAGED = "the weights are damaged; export the bundle again"
# Tolerance of the sum of a distribution. Float32 over the largest vocabularies stays within 1e-4.
TOTAL_TOLERANCE = 1e-2
# Tolerance in nats between two outputs of the decoder for the same target.
NATS_TOLERANCE = 1e-3
# No model gives a log-probability beyond this: the smallest float32 is exp(-103).
MAX_NEGATIVE_LOGPROB = 1e4


def check_outputs(engine: OnnxEngine) -> None:
    """Run a batch of ids from the whole range of the vocabulary.

    Raises BundleError for outputs that are not finite, not normalised, of another shape, or that
    contradict each other.
    """
    size = engine.vocabulary_size
    count = STEPS * SEQUENCES
    ids = np.linspace(0, size - 1, count).astype(np.int64).reshape(SEQUENCES, STEPS)  # (B, T)
    lengths = np.full(SEQUENCES, STEPS, np.int32)
    state = np.stack([engine.zero_state()] * SEQUENCES)  # (B, S)
    hidden, after = engine.encode(ids, lengths, state)  # (N, D), (B, S)
    _check("the encoder's hidden vectors", hidden, (count, engine.embedding_size))
    _check("the encoder's states", after, (SEQUENCES, engine.state_size))
    rows = engine.log_distribution(hidden)  # (N, V)
    _check("the decoder's distributions", rows, (count, size))
    if rows.min() < -MAX_NEGATIVE_LOGPROB:
        raise BundleError(f"a log-probability of the decoder is {rows.min():.3g}; {DAMAGED}")
    totals = np.exp(rows.astype(np.float64)).sum(axis=-1)
    if (np.abs(totals - 1) > TOTAL_TOLERANCE).any():
        furthest = totals[np.abs(totals - 1).argmax()]
        raise BundleError(f"the decoder's distributions sum to {furthest:.6g}, not to 1")
    targets = ids.reshape(-1)
    top = min(TOP, size)
    _compare(engine.decode(hidden, targets, details=True, top=top), rows, targets, top)
    _compare(engine.decode(hidden, targets, details=False, top=0), rows, targets, 0)


def _compare(decoded: Decoded, rows: Floats, targets: Ids, top: int) -> None:
    """Compare the decoder's figures for targets (N,) with its distributions (N, V)."""
    count, size = rows.shape
    every = np.arange(count)
    _check("the decoder's log-probabilities", decoded.logprobs, (count,))
    _close("log-probabilities", decoded.logprobs, rows[every, targets])
    if not top:
        return
    if decoded.ranks is None or decoded.entropies is None:
        raise BundleError("the decoder returns no ranks or no entropies")
    if decoded.top_ids is None or decoded.top_logprobs is None:
        raise BundleError("the decoder returns no most probable tokens")
    _check("the decoder's entropies", decoded.entropies, (count,))
    _check("the decoder's alternatives", decoded.top_logprobs, (count, top))
    ranks = decoded.ranks
    if ranks.shape != (count,) or (ranks < 1).any() or (ranks > size).any():
        raise BundleError("the decoder's ranks are not those of the vocabulary")
    ids = decoded.top_ids
    if ids.shape != (count, top) or (ids < 0).any() or (ids >= size).any():
        raise BundleError("the decoder's alternatives are not ids of the vocabulary")
    _close("alternatives", decoded.top_logprobs, np.take_along_axis(rows, ids, axis=1))
    _close("most probable tokens", decoded.top_logprobs[:, 0], rows.max(axis=1))


def _check(name: str, figures: Floats, shape: tuple[int, ...]) -> None:
    if figures.shape != shape:
        raise BundleError(f"{name} have the shape {figures.shape}; manifest.json requires {shape}")
    if not np.isfinite(figures).all():
        raise BundleError(f"{name} are not finite; {DAMAGED}")


def _close(name: str, found: Floats, expected: Floats) -> None:
    if (np.abs(found - expected) > NATS_TOLERANCE).any():
        raise BundleError(f"the decoder's {name} contradict its distributions")
