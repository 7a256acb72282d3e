"""The softmax layer and its cross-entropy at once, in blocks of rows, so that the logits of all
tokens never stand in memory together.

The gradient of sparse cross-entropy in the logits is softmax − target. It is computed with the
loss itself, in place, so that a block's logits are gone before the next block's come.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

BLOCK_BYTES = 96 << 20  # of float32 logits


def block_rows(vocabulary_size: int) -> int:
    return max(16, BLOCK_BYTES // (4 * vocabulary_size))


def linear_cross_entropy(
    hidden: Tensor,
    matrix: Tensor,
    bias: Tensor,
    target_ids: Tensor,
    label_smoothing: float = 0.0,
    multiply_in: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Hidden vectors (N, D), matrix (V, D), bias (V,), ids (N,) → two means in nats: the loss, with
    its gradients, and the plain cross-entropy without smoothing, to report.

    Label smoothing s (Szegedy et al. 2016) replaces the target by (1 − s) · target + s / V.
    """
    loss, plain = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]  # torch's own
        hidden, matrix, bias, target_ids, label_smoothing, multiply_in
    )
    return loss, plain


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
        count, vocabulary = len(h), len(w)
        grad_hidden = torch.empty_like(h)
        grad_matrix = grad_bias = None
        nats, uniform = [], []
        for begin in range(0, count, block_rows(vocabulary)):
            rows = slice(begin, begin + block_rows(vocabulary))
            target = target_ids[rows, None]
            logits = functional.linear(h[rows], w, b).float()
            logprobs = functional.log_softmax(logits, -1)
            nats.append(-logprobs.gather(1, target))
            if smoothing:
                uniform.append(-logprobs.mean(1))
            error = logprobs.exp_()  # softmax − target
            if smoothing:
                error -= smoothing / vocabulary
            error.scatter_add_(1, target, error.new_full(target.shape, smoothing - 1))
            narrow = error.to(dtype)
            torch.mm(narrow, w, out=grad_hidden[rows])
            grad_matrix = _sum(grad_matrix, narrow.t().mm(h[rows]))
            grad_bias = _sum(grad_bias, error.sum(0))
        ctx.save_for_backward(grad_hidden, grad_matrix, grad_bias)
        plain = torch.cat(nats).mean()
        loss = plain
        if smoothing:
            loss = (1 - smoothing) * plain + smoothing * torch.cat(uniform).mean()
        plain = plain.clone()
        ctx.mark_non_differentiable(plain)
        return loss, plain

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_matrix, grad_bias = ctx.saved_tensors
        scale = grads[0] / len(grad_hidden)
        return grad_hidden.float() * scale, grad_matrix * scale, grad_bias * scale, None, None, None


def _sum(total: Tensor | None, addend: Tensor) -> Tensor:
    """In float32."""
    return addend.float() if total is None else total.add_(addend)
