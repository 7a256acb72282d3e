"""The softmax layer and its cross-entropy at once, in blocks of rows, so that the logits of all
tokens never stand in memory together.

The gradient of sparse cross-entropy in the logits is softmax − target. It is computed with the
loss itself, a chunk of rows at a time that stays in the processor's cache; a block of them is
multiplied back at once.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

BLOCK_BYTES = 96 << 20  # of gradients in the logits
CHUNK_BYTES = 4 << 20  # of float32 logits on a CPU; a GPU takes a block at once
SMALLEST_PROBABILITY = torch.finfo(torch.float32).tiny


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
        vocabulary = len(w)
        size = block_rows(vocabulary)
        chunk = size if h.is_cuda else max(16, CHUNK_BYTES // (4 * vocabulary))
        grad_hidden = torch.empty_like(h)
        grad_matrix, grad_bias = None, torch.zeros_like(bias)
        nats, uniform = [], []
        for begin in range(0, len(h), size):
            block = slice(begin, min(begin + size, len(h)))
            errors = h.new_empty(block.stop - begin, vocabulary)  # softmax − target
            for first in range(begin, block.stop, chunk):
                rows = slice(first, min(first + chunk, block.stop))
                target = target_ids[rows, None]
                logits = functional.linear(h[rows], w, b).float()
                probabilities = functional.softmax(logits, -1)
                wanted = probabilities.gather(1, target)
                nats.append(-wanted.clamp_min(SMALLEST_PROBABILITY).log())
                if smoothing:
                    uniform.append(logits.gather(1, target) + nats[-1] - logits.mean(1, True))
                    probabilities -= smoothing / vocabulary
                probabilities.scatter_(1, target, wanted - (1 - smoothing) - smoothing / vocabulary)
                grad_bias += probabilities.sum(0)
                errors[rows.start - begin : rows.stop - begin] = probabilities
            torch.mm(errors, w, out=grad_hidden[block])
            grad_matrix = _sum(grad_matrix, errors.t().mm(h[block]))
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
