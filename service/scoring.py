"""The arithmetic of scores: softmax, cross-entropy in both forms, perplexity, units.

Cross-entropy is H(p, q) = −Σ p log q. In its *sparse* form p is the id of one word, in its *dense*
form any distribution over the vocabulary; a one-hot p gives the same number. All figures are in
nats (natural logarithm) unless a unit is named. This module needs numpy alone: no engine, no text,
no HTTP.

`softmax`, `log_softmax` and the cross-entropies are the reference for the graphs and the trainer,
whose tests compare with them. The service itself computes these figures in `decoder.onnx`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating[Any]]

# One nat in each unit: log₂ e bits, log₁₀ e bans.
NATS_IN = {"nats": 1.0, "bits": 1 / math.log(2), "bans": 1 / math.log(10)}

# The share of unknown words from which a perplexity misleads.
MISLEADING_OOV_SHARE = 0.1


def log_softmax(logits: ArrayLike) -> FloatArray:
    """Return log q (…, V) of logits (…, V). No finite logit overflows."""
    logits = np.asarray(logits, dtype=np.result_type(np.asarray(logits), np.float32))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def softmax(logits: ArrayLike) -> FloatArray:
    """Return the probabilities (…, V) of logits (…, V): exp(logit) ÷ Σ exp(logits)."""
    probabilities: FloatArray = np.exp(log_softmax(logits))
    return probabilities


def dense_cross_entropy(logits: ArrayLike, target_probabilities: ArrayLike) -> FloatArray:
    """Return −Σ p · log softmax(logits) in nats (…), of logits (…, V) and distributions p (…, V).

    The gradient with respect to the logits is softmax(logits) − p if p sums to 1.
    """
    losses: FloatArray = -(np.asarray(target_probabilities) * log_softmax(logits)).sum(axis=-1)
    return losses


def sparse_cross_entropy(logits: ArrayLike, target_ids: ArrayLike) -> FloatArray:
    """Return −log softmax(logits)[id] in nats (…), of logits (…, V) and ids (…).

    Raises IndexError for an id outside the vocabulary.
    """
    ids = np.asarray(target_ids)
    if (ids < 0).any():  # numpy would count from the end
        raise IndexError("ids must be at least 0")
    return -np.take_along_axis(log_softmax(logits), ids[..., None], axis=-1)[..., 0]


def perplexity(total_nats: float, count: int) -> float | None:
    """Return exp(total ÷ count), or None if `count` is 0 or the result exceeds a double."""
    if count == 0:
        return None
    try:
        return math.exp(total_nats / count)
    except OverflowError:
        return None


def oov_warning(unknown: int, tokens: int) -> str | None:
    """Return a warning if more than MISLEADING_OOV_SHARE of scored tokens are unknown, else None.

    `tokens` are counted without the ends of lines. A model that was trained with many unknown words
    gives `<unk>` a high probability. Therefore a foreign text, of which all words are unknown, can
    have a lower perplexity than a good text.
    """
    if unknown <= MISLEADING_OOV_SHARE * tokens:
        return None
    return (
        f"{unknown:,} of {tokens:,} tokens ({unknown / tokens:.0%}) are unknown words: the "
        "perplexity is too low, because <unk> is cheap; compare the perplexity without unknown "
        "words, or use a model whose vocabulary has these words"
    )


@dataclass(slots=True)
class Totals:
    """Sums over scored tokens. A mean is total ÷ count. Totals add up, so that the mean of several
    texts is never a mean of means.

    Characters are Unicode code points and bytes are UTF-8, both without those of an unscored first
    token; words stand between white space. These three denominators compare models with different
    vocabularies.
    """

    nats: float = 0.0
    tokens: int = 0
    oov_nats: float = 0.0
    oov_tokens: int = 0
    bytes: int = 0
    characters: int = 0
    words: int = 0

    def add(self, other: "Totals") -> None:
        self.nats += other.nats
        self.tokens += other.tokens
        self.oov_nats += other.oov_nats
        self.oov_tokens += other.oov_tokens
        self.bytes += other.bytes
        self.characters += other.characters
        self.words += other.words

    @property
    def mean_nats(self) -> float | None:
        """The mean per scored token, or None without any."""
        return _ratio(self.nats, self.tokens)

    def figures(self, unit: str) -> dict[str, float | int | None]:
        """Return the aggregates of a response, with cross-entropies in `unit`. A mean over nothing
        is None.
        """
        total = self.nats * NATS_IN[unit]
        some = self.tokens > 0  # white space has bytes and no scored token
        return {
            "token_count": self.tokens,
            "oov_count": self.oov_tokens,
            "total_cross_entropy": total,
            "mean_cross_entropy": _ratio(total, self.tokens),
            "perplexity": perplexity(self.nats, self.tokens),
            "perplexity_excluding_oov": perplexity(
                self.nats - self.oov_nats, self.tokens - self.oov_tokens
            ),
            "cross_entropy_per_byte": _ratio(total, self.bytes * some),
            "cross_entropy_per_character": _ratio(total, self.characters * some),
            "word_count": self.words,
            "cross_entropy_per_word": _ratio(total, self.words * some),
        }


def _ratio(total: float, count: int) -> float | None:
    return total / count if count else None
