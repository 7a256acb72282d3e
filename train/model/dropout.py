"""The literature's dropouts, all inverted: what survives is divided by its probability, so that
nothing has to be done at evaluation. Masks come from torch's default generator unless one is given.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional


def plain_dropout(x: Tensor, probability: float) -> Tensor:
    """Every value of `x` with a chance of its own (Srivastava et al. 2014)."""
    return functional.dropout(x, probability) if probability else x


def locked_dropout(x: Tensor, probability: float) -> Tensor:
    """`x` (T, B, D) with one mask (B, D) for all time steps: variational dropout (Gal & Ghahramani
    2016).
    """
    return x * _mask(x[:1], probability) if probability else x


def embedding_dropout(matrix: Tensor, ids: Tensor, probability: float) -> Tensor:
    """Rows of `matrix` (V, D) for `ids` (T, B) → (T, B, D), with whole words of the vocabulary
    dropped: a dropped word is zero wherever it stands in the batch (Gal & Ghahramani 2016).
    """
    vectors = functional.embedding(ids, matrix)
    if not probability:
        return vectors
    words = _mask(matrix.new_empty(len(matrix), 1), probability)
    return vectors * functional.embedding(ids, words)


def weight_dropout(matrix: Tensor, probability: float, generator: Generator | None) -> Tensor:
    """Entries of a recurrent matrix, dropped once for all time steps of a batch: weight-drop
    (Wan et al. 2013; for LSTMs Merity et al. 2017).
    """
    return matrix * _mask(matrix, probability, generator) if probability else matrix


def _mask(like: Tensor, probability: float, generator: Generator | None = None) -> Tensor:
    kept = 1 - probability
    mask = torch.empty_like(like, requires_grad=False)
    return mask.bernoulli_(kept, generator=generator).div_(kept)
