"""Tests of the cross-entropies of `train.model.loss` (torch) and `service.scoring` (numpy)."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service import scoring
from train.model import loss

LOGITS = [[2.0, -1.0, 3.0, 2.0], [1.0, 0.0, -0.5, 4.0]]
TARGETS = [2, 0]
ONE_HOT = [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]

Losses = Callable[[list[list[float]], list[int]], list[float]]
DenseLosses = Callable[[list[list[float]], list[list[float]]], list[float]]


def torch_sparse(logits: list[list[float]], targets: list[int]) -> list[float]:
    result: list[float] = loss.sparse_cross_entropy(
        torch.tensor(logits, dtype=torch.float64), torch.tensor(targets)
    ).tolist()
    return result


def torch_dense(logits: list[list[float]], probabilities: list[list[float]]) -> list[float]:
    double = torch.float64
    result: list[float] = loss.dense_cross_entropy(
        torch.tensor(logits, dtype=double), torch.tensor(probabilities, dtype=double)
    ).tolist()
    return result


def numpy_sparse(logits: list[list[float]], targets: list[int]) -> list[float]:
    return [float(x) for x in scoring.sparse_cross_entropy(logits, targets)]


def numpy_dense(logits: list[list[float]], probabilities: list[list[float]]) -> list[float]:
    return [float(x) for x in scoring.dense_cross_entropy(logits, probabilities)]


def by_hand(logits: list[float], probabilities: list[float]) -> float:
    """Return log Σ exp(logit) − Σ p · logit for a p that sums to 1."""
    largest = max(logits)
    log_sum = math.log(math.fsum(math.exp(x - largest) for x in logits))
    return log_sum - math.fsum(
        p * (x - largest) for p, x in zip(probabilities, logits, strict=True)
    )


sparse = pytest.mark.parametrize("sparse_losses", [torch_sparse, numpy_sparse])
dense = pytest.mark.parametrize("dense_losses", [torch_dense, numpy_dense])


@sparse
@dense
def test_the_known_figures(sparse_losses: Losses, dense_losses: DenseLosses) -> None:
    # Printed in float32; in double precision they are 0.5619413795 and 3.0762308707.
    known = pytest.approx([0.56194139, 3.07623076], abs=1.2e-7)
    assert sparse_losses(LOGITS, TARGETS) == known
    assert dense_losses(LOGITS, ONE_HOT) == known
    assert [by_hand(x, p) for x, p in zip(LOGITS, ONE_HOT, strict=True)] == known


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[list[float]], list[list[float]], list[int]]:
    """Return logits (N, V), distributions (N, V) and ids (N,)."""
    rows, width = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    matrix = st.lists(
        st.lists(st.floats(-30, 30), min_size=width, max_size=width), min_size=rows, max_size=rows
    )
    logits = draw(matrix)
    weights = [[math.exp(x / 4) for x in row] for row in draw(matrix)]
    distributions = [[w / math.fsum(row) for w in row] for row in weights]
    ids = draw(st.lists(st.integers(0, width - 1), min_size=rows, max_size=rows))
    return logits, distributions, ids


@sparse
@dense
@settings(max_examples=50, deadline=None)
@given(case=cases())
def test_sparse_and_dense_equal_the_formula(
    sparse_losses: Losses,
    dense_losses: DenseLosses,
    case: tuple[list[list[float]], list[list[float]], list[int]],
) -> None:
    logits, distributions, ids = case
    one_hot = [[float(i == target) for i in range(len(logits[0]))] for target in ids]
    expected_sparse = [by_hand(x, p) for x, p in zip(logits, one_hot, strict=True)]
    expected_dense = [by_hand(x, p) for x, p in zip(logits, distributions, strict=True)]
    assert sparse_losses(logits, ids) == pytest.approx(expected_sparse, abs=1e-9)
    assert dense_losses(logits, one_hot) == pytest.approx(expected_sparse, abs=1e-9)
    assert dense_losses(logits, distributions) == pytest.approx(expected_dense, abs=1e-9)


@sparse
@dense
def test_large_logits_stay_finite(sparse_losses: Losses, dense_losses: DenseLosses) -> None:
    logits = [[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4]]
    ids = [1, 0, 2]
    one_hot = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    expected = pytest.approx([2e4, math.log(3), math.log(3)], rel=1e-6)
    assert sparse_losses(logits, ids) == expected
    assert dense_losses(logits, one_hot) == expected
    floats = torch.tensor(logits)
    assert loss.sparse_cross_entropy(floats, torch.tensor(ids)).tolist() == expected
    assert scoring.sparse_cross_entropy(floats.numpy(), ids).tolist() == expected


@settings(max_examples=50, deadline=None)
@given(case=cases())
def test_gradient_is_softmax_minus_target(
    case: tuple[list[list[float]], list[list[float]], list[int]],
) -> None:
    values, distributions, ids = case
    one_hot = np.eye(len(values[0]))[ids].tolist()
    for target, is_sparse in ((one_hot, True), (distributions, False)):
        logits = torch.tensor(values, requires_grad=True, dtype=torch.float32)
        if is_sparse:
            losses = loss.sparse_cross_entropy(logits, torch.tensor(ids))
        else:
            losses = loss.dense_cross_entropy(logits, torch.tensor(target))
        torch.autograd.backward(losses.sum())
        powers = [[math.exp(x - max(row)) for x in row] for row in values]
        softmax = np.array([[p / math.fsum(row) for p in row] for row in powers])
        assert logits.grad is not None
        assert np.abs(logits.grad.numpy() - (softmax - np.array(target))).max() < 1e-5


def test_a_numeric_gradient_agrees_with_the_known_figures() -> None:
    logits, step = LOGITS[0], 1e-6
    known = [0.20972851, 0.01044177, -0.42989879, 0.20972851]  # softmax − one-hot, by hand
    for index, expected in enumerate(known):
        up, down = ([x + s * (i == index) for i, x in enumerate(logits)] for s in (step, -step))
        slope = (numpy_sparse([up], [2])[0] - numpy_sparse([down], [2])[0]) / (2 * step)
        assert slope == pytest.approx(expected, abs=1e-6)


def test_losses_keep_the_shape_of_the_targets() -> None:
    logits, ids = torch.zeros(2, 3, 5), torch.zeros(2, 3, dtype=torch.int64)
    assert loss.sparse_cross_entropy(logits, ids).shape == (2, 3)
    assert loss.dense_cross_entropy(logits, torch.zeros(2, 3, 5)).shape == (2, 3)
    assert loss.sparse_cross_entropy(logits[:0], ids[:0]).shape == (0, 3)
    assert loss.dense_cross_entropy(logits[0, 0], torch.zeros(5)).shape == ()
