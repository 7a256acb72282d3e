"""Four kinds of dropout from the literature.

All are inverted: surviving values are divided by their probability of survival, so that evaluation
needs no scaling. Masks are drawn from torch's default generator unless the caller passes one.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional


def plain_dropout(x: Tensor, probability: float) -> Tensor:
    """Drop every value of `x` independently (Srivastava et al. 2014)."""
    return functional.dropout(x, probability) if probability else x


def locked_dropout(x: Tensor, probability: float) -> Tensor:
    """Drop values of `x` (T, B, D) with one mask (B, D) for all time steps.

    This is variational dropout (Gal & Ghahramani 2016).
    """
    return x * _mask(x[:1], probability) if probability else x


def embedding_dropout(matrix: Tensor, ids: Tensor, probability: float) -> Tensor:
    """Look up rows of `matrix` (V, D) for `ids` (T, B) → (T, B, D), with whole words dropped.

    A dropped word is zero at all its places in the batch (Gal & Ghahramani 2016).
    """
    vectors = functional.embedding(ids, matrix)
    if not probability:
        return vectors
    words = _mask(matrix.new_empty(len(matrix), 1), probability)
    return vectors * functional.embedding(ids, words)


def weight_dropout(matrix: Tensor, probability: float, generator: Generator | None) -> Tensor:
    """Drop entries of a recurrent matrix, once for all time steps of a batch.

    This is weight-drop (Wan et al. 2013; for LSTMs Merity et al. 2017).
    """
    return matrix * _mask(matrix, probability, generator) if probability else matrix


def _mask(like: Tensor, probability: float, generator: Generator | None = None) -> Tensor:
    kept = 1 - probability
    mask = torch.empty_like(like, requires_grad=False)
    return mask.bernoulli_(kept, generator=generator).div_(kept)
