"""Cross-entropy H(p, q) = −Σ p log q for training, in nats.

The target p has two forms, as in other frameworks. *Sparse*: p is the id of one word. *Dense*: p is
any distribution over the vocabulary. With a one-hot p both give the same number. The gradient in
the logits is softmax(logits) − p for both.

`linear_cross_entropy` computes the softmax layer and its sparse loss together, in blocks of rows.
The logits of all tokens are therefore never in memory at once. The gradient is computed with the
loss, in chunks of rows that fit the processor's cache. One matrix product per block propagates it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

BLOCK_BYTES = 96 << 20  # of gradients in the logits
CHUNK_BYTES = 4 << 20  # of float32 logits on a CPU; a GPU computes a whole block at once
SMALLEST_PROBABILITY = torch.finfo(torch.float32).tiny


def sparse_cross_entropy(logits: Tensor, target_ids: Tensor) -> Tensor:
    """Return −log softmax(logits)[id] in nats: logits (…, V) and ids (…) int64 → (…)."""
    rows = logits.reshape(-1, logits.shape[-1])
    losses = functional.cross_entropy(rows, target_ids.reshape(-1), reduction="none")
    return losses.view(target_ids.shape)


def dense_cross_entropy(logits: Tensor, target_probabilities: Tensor) -> Tensor:
    """Return −Σ p · log softmax(logits) in nats: logits and probabilities p, both (…, V) → (…)."""
    return -(target_probabilities * functional.log_softmax(logits, -1)).sum(-1)


def block_rows(vocabulary_size: int) -> int:
    """Return the number of rows of logits in a block: BLOCK_BYTES of float32, at least 16 rows."""
    return max(16, BLOCK_BYTES // (4 * vocabulary_size))


def linear_cross_entropy(
    hidden: Tensor,
    matrix: Tensor,
    bias: Tensor,
    target_ids: Tensor,
    label_smoothing: float = 0.0,
    compute_dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Return two means in nats: the loss, which has gradients, and the cross-entropy without label
    smoothing, which is reported and has none.

    The arguments are hidden vectors (N, D), the softmax matrix (V, D), its bias (V,) and ids (N,).
    Matrix products are computed in `compute_dtype`. Label smoothing s (Szegedy et al. 2016)
    replaces the target by (1 − s) · target + s / V.
    """
    loss, cross_entropy = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]  # torch's own
        hidden, matrix, bias, target_ids, label_smoothing, compute_dtype
    )
    return loss, cross_entropy


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        matrix: Tensor,
        bias: Tensor,
        target_ids: Tensor,
        smoothing: float,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        h, w, b = hidden.to(dtype), matrix.to(dtype), bias.to(dtype)
        vocabulary = len(w)
        size = block_rows(vocabulary)
        chunk = size if h.is_cuda else max(16, CHUNK_BYTES // (4 * vocabulary))
        grad_hidden = torch.empty_like(h)
        grad_matrix, grad_bias = None, torch.zeros_like(bias)
        nats, uniform = [], []
        for begin in range(0, len(h), size):
            block = slice(begin, min(begin + size, len(h)))
            grad_logits = h.new_empty(block.stop - begin, vocabulary)  # softmax − target
            for first in range(begin, block.stop, chunk):
                rows = slice(first, min(first + chunk, block.stop))
                ids = target_ids[rows, None]
                logits = functional.linear(h[rows], w, b).float()
                q = functional.softmax(logits, -1)
                q_target = q.gather(1, ids)
                nats.append(-q_target.clamp_min(SMALLEST_PROBABILITY).log())
                if smoothing:
                    uniform.append(logits.gather(1, ids) + nats[-1] - logits.mean(1, True))
                    q -= smoothing / vocabulary
                q.scatter_(1, ids, q_target - (1 - smoothing) - smoothing / vocabulary)
                grad_bias += q.sum(0)
                grad_logits[rows.start - begin : rows.stop - begin] = q
            torch.mm(grad_logits, w, out=grad_hidden[block])
            grad_matrix = _add_in_float32(grad_matrix, grad_logits.t().mm(h[block]))
        ctx.save_for_backward(grad_hidden, grad_matrix, grad_bias)
        cross_entropy = torch.cat(nats).mean()
        loss = cross_entropy
        if smoothing:
            loss = (1 - smoothing) * cross_entropy + smoothing * torch.cat(uniform).mean()
        cross_entropy = cross_entropy.clone()
        ctx.mark_non_differentiable(cross_entropy)
        return loss, cross_entropy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_matrix, grad_bias = ctx.saved_tensors
        scale = grads[0] / len(grad_hidden)
        return grad_hidden.float() * scale, grad_matrix * scale, grad_bias * scale, None, None, None


def _add_in_float32(total: Tensor | None, addend: Tensor) -> Tensor:
    return addend.float() if total is None else total.add_(addend)
