"""The continuous cache of Grave et al. (2017): recent words of a text become more probable in it.

    p_cache(w) ∝ Σ_i 1[x_{i+1} = w] exp(θ h_i · h_t),    i over the last `window` positions
    p(w) = (1 − λ) p_model(w) + λ p_cache(w)

Each text has a cache of its own, which starts empty. Hidden vectors are kept as the integers of
−127 … 127 that int8 bundles multiply by, so that their products are exact, and every sum runs over
a row of the same length. A score is therefore bit for bit the same in chunks of any size, as it is
without a cache. A position takes D bytes.

Grave, Joulin and Usunier: Improving Neural Language Models with a Continuous Cache,
https://arxiv.org/abs/1612.04426
"""

import numpy as np
from numpy.typing import NDArray

from service.arrays import CacheSettings, Floats, Ids

LEVELS = 127
# Up to this width, D · 127² < 2²⁴ and float32 holds the products exactly. Beyond it, doubles do.
EXACT_WIDTH = 1040
# Rows of the products (rows, window) that are in memory at a time.
ROWS_AT_A_TIME = 256
# Pairs of a position and one before it that a batch compares, which takes about 20 ms.
PAIRS_PER_BATCH = 1 << 18


class NeuralCache:
    """The cache of one text. Not thread-safe: one worker at a time runs a text."""

    def __init__(self, settings: CacheSettings, width: int) -> None:
        """`width` is D, the width of the hidden vectors."""
        self._settings = settings
        self._keys = np.empty((0, width), np.int8)  # (P, D), of the P ≤ W positions seen
        self._words = np.empty(0, np.int64)  # (P,)

    @property
    def bytes(self) -> int:
        return self._keys.nbytes + self._words.nbytes

    def rows_per_batch(self, caches: int) -> int:
        """Return how many positions to run at a time, with `caches` caches in the same batch."""
        return max(1, PAIRS_PER_BATCH // (self._settings.window * caches))

    def mix(self, hidden: Floats, targets: Ids, logprobs: Floats) -> Floats:
        """Return the log-probabilities (N,) with the cache, and add the positions to it.

        `hidden` (N, D) are the vectors of the next positions, `targets` (N,) the words after them,
        and `logprobs` (N,) the model's natural log-probabilities of these words.
        """
        rows = [slice(b, b + ROWS_AT_A_TIME) for b in range(0, len(targets), ROWS_AT_A_TIME)]
        mixed = [self._mix(hidden[r], targets[r], logprobs[r]) for r in rows]
        return np.concatenate(mixed) if mixed else logprobs

    def _mix(self, hidden: Floats, targets: Ids, logprobs: Floats) -> Floats:
        window, share = self._settings.window, self._settings.interpolation
        queries = np.rint(hidden * LEVELS)  # (N, D), exact in float32
        keys = np.concatenate([self._keys, queries.astype(np.int8)])  # (P + N, D)
        exact = np.dtype(np.float64 if hidden.shape[1] > EXACT_WIDTH else np.float32)
        unseen = ((0, 0), (window - len(self._words), 0))
        products = np.pad(queries.astype(exact) @ keys.astype(exact).T, unseen)  # (N, W + N)
        words = np.pad(np.concatenate([self._words, targets]), unseen[1], constant_values=-1)
        # Row t sees the W positions before its own: a band of the same length for every t.
        band = np.arange(len(targets))[:, None] + np.arange(window)  # (N, W)
        seen = words[band]
        scores = np.take_along_axis(products, band, 1).astype(np.float64)
        scores *= self._settings.theta / LEVELS**2
        scores[seen < 0] = -np.inf
        top = scores.max(1, keepdims=True)
        weights = np.exp(scores - np.where(np.isfinite(top), top, 0))
        total = weights.sum(1)
        same = np.where(seen == targets[:, None], weights, 0).sum(1)
        kept = min(window, len(keys))
        self._keys, self._words = keys[-kept:].copy(), words[-kept:].copy()
        cached = np.divide(same, total, out=np.zeros_like(total), where=total > 0)
        model = np.exp(logprobs.astype(np.float64))
        # At the first position the cache is empty, and the model has the whole probability.
        found: NDArray[np.float64] = np.where(
            total > 0, (1 - share) * model + share * cached, model
        )
        with np.errstate(divide="ignore"):
            mixed = np.log(found)
        # A probability below the smallest double is 0; the logarithm from the model still stands.
        floor = logprobs.astype(np.float64) + np.where(total > 0, np.log1p(-share), 0)
        return np.maximum(mixed, floor).astype(np.float32)
