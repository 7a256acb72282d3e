"""Cross-entropy H(p, q) = −Σ p log q for training, in nats, over the last axis.

Two forms, as in the frameworks: *sparse*, where p is one word's id, and *dense*, where p is any
distribution over the vocabulary. With a one-hot p they are the same number. The gradient in the
logits is softmax(logits) − p for both.
"""

from torch import Tensor
from torch.nn import functional


def sparse_cross_entropy(logits: Tensor, target_ids: Tensor) -> Tensor:
    """Logits (…, V), ids (…) int64 → (…): −log softmax(logits)[id]."""
    rows = logits.reshape(-1, logits.shape[-1])
    losses = functional.cross_entropy(rows, target_ids.reshape(-1), reduction="none")
    return losses.view(target_ids.shape)


def dense_cross_entropy(logits: Tensor, target_probabilities: Tensor) -> Tensor:
    """Logits (…, V), probabilities (…, V) → (…): −Σ p · log softmax(logits)."""
    return -(target_probabilities * functional.log_softmax(logits, -1)).sum(-1)
