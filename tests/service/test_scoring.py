"""The arithmetic of scores, compared with figures by hand and in plain Python."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from service.scoring import (
    NATS_IN,
    Totals,
    dense_cross_entropy,
    log_softmax,
    perplexity,
    softmax,
    sparse_cross_entropy,
)

Rows = NDArray[np.float64]

# Two rows of logits, their targets and their losses in nats, by hand.
LOGITS = [[2.0, -1.0, 3.0, 2.0], [1.0, 0.0, -0.5, 4.0]]
TARGETS = [2, 0]
LOSSES = [0.56194139, 3.07623076]
TOTALS = Totals(nats=6.0, tokens=4, oov_nats=2.0, oov_tokens=1, bytes=20, characters=12, words=3)

rows = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.floats(-1e4, 1e4)
)


def sparse(logits: Rows) -> Rows:
    return np.asarray(sparse_cross_entropy(logits, np.zeros(len(logits), np.int64)))


def dense(logits: Rows) -> Rows:
    return np.asarray(dense_cross_entropy(logits, np.eye(logits.shape[1])[[0] * len(logits)]))


def test_check_figures_of_the_sparse_form() -> None:
    assert sparse_cross_entropy(LOGITS, TARGETS) == pytest.approx(LOSSES, abs=1e-6)


def test_check_figures_of_the_dense_form() -> None:
    assert dense_cross_entropy(LOGITS, np.eye(4)[TARGETS]) == pytest.approx(LOSSES, abs=1e-6)


def test_soft_target_weighs_losses_of_words() -> None:
    losses = [-math.log(math.exp(x) / sum(map(math.exp, LOGITS[0]))) for x in LOGITS[0]]
    weights = [0.1, 0.2, 0.3, 0.4]
    expected = sum(weight * loss for weight, loss in zip(weights, losses, strict=True))
    assert float(dense_cross_entropy(LOGITS[0], weights)) == pytest.approx(expected)


@given(rows)
def test_both_forms_agree_on_a_one_hot_target(logits: Rows) -> None:
    assert dense(logits) == pytest.approx(sparse(logits))


@given(rows)
def test_softmax_sums_to_one(logits: Rows) -> None:
    probabilities = softmax(logits)
    assert (probabilities >= 0).all()
    assert probabilities.sum(axis=-1) == pytest.approx(1)


@given(rows, st.floats(-1e4, 1e4))
def test_a_constant_added_to_all_logits_changes_nothing(logits: Rows, constant: float) -> None:
    assert log_softmax(logits + constant) == pytest.approx(log_softmax(logits), abs=1e-6)


@pytest.mark.parametrize("form", [sparse, dense])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_very_large_logits_are_safe(form: Callable[[Rows], Rows], dtype: type) -> None:
    logits = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 0]])
    assert form(logits.astype(dtype)) == pytest.approx([0, 2e4])


@pytest.mark.parametrize("form", [sparse, dense])
def test_gradient_is_softmax_minus_target(form: Callable[[Rows], Rows]) -> None:
    logits, step = np.array([LOGITS[1]]), 1e-6
    slopes = [
        (form(logits + step * unit) - form(logits - step * unit)) / (2 * step) for unit in np.eye(4)
    ]
    total = sum(map(math.exp, LOGITS[1]))
    expected = [math.exp(x) / total - (index == 0) for index, x in enumerate(LOGITS[1])]
    assert np.concatenate(slopes) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("target", [4, -1])
def test_target_outside_vocabulary_is_an_index_error(target: int) -> None:
    with pytest.raises(IndexError):
        sparse_cross_entropy(LOGITS[0], target)


def test_perplexity_is_the_exponential_of_the_mean() -> None:
    assert perplexity(math.log(8) * 5, 5) == pytest.approx(8)


@pytest.mark.parametrize(("total", "count"), [(0.0, 0), (1e6, 1)])
def test_perplexity_is_none_without_tokens_or_beyond_double(total: float, count: int) -> None:
    assert perplexity(total, count) is None


def test_figures_are_total_over_count() -> None:
    figures = TOTALS.figures("nats")
    assert figures["token_count"] == 4
    assert figures["oov_count"] == 1
    assert figures["word_count"] == 3
    assert figures["total_cross_entropy"] == pytest.approx(6)
    assert figures["mean_cross_entropy"] == pytest.approx(1.5)
    assert figures["perplexity"] == pytest.approx(math.exp(1.5))
    assert figures["perplexity_excluding_oov"] == pytest.approx(math.exp(4 / 3))
    assert figures["cross_entropy_per_byte"] == pytest.approx(0.3)
    assert figures["cross_entropy_per_character"] == pytest.approx(0.5)
    assert figures["cross_entropy_per_word"] == pytest.approx(2)


@pytest.mark.parametrize(("unit", "base"), [("nats", math.e), ("bits", 2.0), ("bans", 10.0)])
def test_a_unit_scales_cross_entropies_and_leaves_perplexities(unit: str, base: float) -> None:
    figures = TOTALS.figures(unit)
    assert NATS_IN[unit] == pytest.approx(1 / math.log(base))
    assert figures["total_cross_entropy"] == pytest.approx(6 / math.log(base))
    assert figures["cross_entropy_per_byte"] == pytest.approx(0.3 / math.log(base))
    assert figures["perplexity"] == pytest.approx(math.exp(1.5))


def test_means_over_nothing_are_none() -> None:
    figures = Totals().figures("nats")
    assert figures["total_cross_entropy"] == 0
    for name in ("mean_cross_entropy", "perplexity", "perplexity_excluding_oov"):
        assert figures[name] is None
    for name in ("byte", "character", "word"):
        assert figures[f"cross_entropy_per_{name}"] is None


def test_totals_add_up_without_means_of_means() -> None:
    sums = Totals(nats=9.0, tokens=9)
    sums.add(Totals(nats=11.0, tokens=1))
    assert sums.figures("nats")["mean_cross_entropy"] == pytest.approx(2.0)
