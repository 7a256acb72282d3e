"""The arithmetic of scores: softmax, cross-entropy in both forms, perplexity, units.

Cross-entropy is H(p, q) = −Σ p log q. The *sparse* form takes p as one word's id, the *dense*
form as any distribution over the vocabulary; a one-hot p gives the same number. Everything is in
nats (natural logarithm) until a unit is asked for. numpy alone: no engine, no text, no HTTP.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]

# What one nat is in each unit: log₂ e bits, log₁₀ e bans.
NATS_IN = {"nats": 1.0, "bits": 1 / math.log(2), "bans": 1 / math.log(10)}


def log_softmax(logits: ArrayLike) -> FloatArray:
    """Logits (…, V) → log q (…, V); safe for logits of any finite size."""
    logits = np.asarray(logits, dtype=np.result_type(np.asarray(logits), np.float32))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def softmax(logits: ArrayLike) -> FloatArray:
    """Logits (…, V) → probabilities (…, V): exp(logit) ÷ Σ exp(logits)."""
    probabilities: FloatArray = np.exp(log_softmax(logits))
    return probabilities


def dense_cross_entropy(logits: ArrayLike, target_probabilities: ArrayLike) -> FloatArray:
    """Logits (…, V), distributions (…, V) → nats (…): −Σ p · log softmax(logits).

    Its gradient in the logits is softmax(logits) − p where p sums to 1.
    """
    losses: FloatArray = -(np.asarray(target_probabilities) * log_softmax(logits)).sum(axis=-1)
    return losses


def sparse_cross_entropy(logits: ArrayLike, target_ids: ArrayLike) -> FloatArray:
    """Logits (…, V), ids (…) → nats (…): −log softmax(logits)[id].

    Raises IndexError for an id outside the vocabulary.
    """
    ids = np.asarray(target_ids)
    if (ids < 0).any():  # numpy would count from the end
        raise IndexError("ids are not below 0")
    return -np.take_along_axis(log_softmax(logits), ids[..., None], axis=-1)[..., 0]


def perplexity(total_nats: float, count: int) -> float | None:
    """exp(total ÷ count); None over nothing, and where it is beyond the largest double."""
    if count == 0:
        return None
    try:
        return math.exp(total_nats / count)
    except OverflowError:
        return None


@dataclass(slots=True)
class Totals:
    """Sums over scored tokens. Means are total ÷ count, and totals add up: never a mean of means.

    Characters are Unicode code points and bytes UTF-8 of the text, without what an unscored first
    token spans; words stand between white space. They are the denominators that compare across
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
        """Per scored token; None over nothing."""
        return _ratio(self.nats, self.tokens)

    def figures(self, unit: str) -> dict[str, float | int | None]:
        """The aggregates of a response; cross-entropies in `unit`, null over nothing."""
        total = self.nats * NATS_IN[unit]
        some = self.tokens > 0  # a text of white space has bytes and nothing to score
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
