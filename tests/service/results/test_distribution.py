"""The arithmetic of next-word distributions, compared with the same rules in plain Python."""

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from service.results.distribution import DistributionOptions, NextTokens, next_token_distribution

# A few different values give many ties.
LOGITS = [-30.0, -2.5, -1.0, 0.0, 0.0, 1.0, 3.25]


@dataclass(frozen=True)
class Case:
    row: list[float]
    shape: DistributionOptions


@st.composite
def cases(draw: DrawFn) -> Case:
    logits = draw(st.lists(st.sampled_from(LOGITS), min_size=1, max_size=12))
    log_total = math.log(sum(map(math.exp, logits)))
    row = np.array([x - log_total for x in logits], np.float32).tolist()
    ids = st.integers(0, len(row) - 1)
    some = st.none() | st.lists(ids, unique=True).map(lambda chosen: np.array(chosen, np.int64))
    shape = DistributionOptions(
        top_k=draw(st.integers(0, len(row))),
        temperature=draw(st.sampled_from([0.01, 0.5, 1.0, 2.0, 1e6])),
        excluded=draw(some),
        allowed=draw(some),
        candidates=draw(st.lists(ids)),
    )
    return Case(row, shape)


def shaped(case: Case) -> NextTokens:
    return next_token_distribution(np.array(case.row, np.float32), case.shape)


def probabilities(case: Case) -> tuple[dict[int, float], float | None]:
    """Return the remaining probabilities by id, and that of the allowed words before the last
    renormalisation.

    In decimals, which do not underflow: a rare word may be all that is left.
    """
    temperature = Decimal(case.shape.temperature)
    left = normalized({i: (Decimal(x) / temperature).exp() for i, x in enumerate(case.row)})
    if case.shape.excluded is not None:
        gone = set(case.shape.excluded.tolist())
        left = normalized({i: p for i, p in left.items() if i not in gone})
    mass = None
    if case.shape.allowed is not None:
        kept = set(case.shape.allowed.tolist())
        stays = {i: p for i, p in left.items() if i in kept}
        left, mass = normalized(stays), float(sum(stays.values()))
    return {i: float(p) for i, p in left.items()}, mass


def normalized(weights: dict[int, Decimal]) -> dict[int, Decimal]:
    total = sum(weights.values())
    return {i: weight / total for i, weight in weights.items()}


def ranking(case: Case) -> list[int]:
    return sorted(probabilities(case)[0], key=lambda i: (-case.row[i], i))


@given(cases())
def test_most_probable_words_are_listed_ties_by_id(case: Case) -> None:
    assert shaped(case).ids.tolist() == ranking(case)[: case.shape.top_k]


@given(cases())
def test_probabilities_are_renormalised_after_every_step(case: Case) -> None:
    expected, mass = probabilities(case)
    result = shaped(case)
    got = np.exp(result.logprobs)
    assert got == pytest.approx([expected[i] for i in result.ids.tolist()], rel=1e-6, abs=1e-30)
    assert result.allowed_probability == (None if mass is None else pytest.approx(mass, abs=1e-6))


@given(cases())
def test_candidates_always_have_probability_and_rank(case: Case) -> None:
    expected, _ = probabilities(case)
    order = ranking(case)
    result = shaped(case)
    for index, word in enumerate(case.shape.candidates):
        probability = math.exp(result.candidate_logprobs[index])
        assert probability == pytest.approx(expected.get(word, 0.0), rel=1e-6, abs=1e-30)
        assert result.candidate_ranks[index] == (order.index(word) + 1 if word in order else 0)


@given(cases())
def test_remaining_probability_is_what_is_not_listed(case: Case) -> None:
    expected, _ = probabilities(case)
    rest = sum(expected[i] for i in ranking(case)[case.shape.top_k :])
    assert shaped(case).remaining_probability == pytest.approx(rest, abs=1e-6)


@given(cases())
def test_entropy_is_of_the_distribution_listed_from(case: Case) -> None:
    expected, _ = probabilities(case)
    result = shaped(case)
    if expected:
        entropy = -sum(p * math.log(p) for p in expected.values() if p)
        assert result.entropy == pytest.approx(entropy, abs=1e-6)
    else:
        assert result.entropy is None
        assert result.ids.tolist() == []


def test_entropy_of_a_certain_word_is_positive_zero() -> None:
    entropy = next_token_distribution(
        np.array([0.0], np.float32), DistributionOptions(top_k=1)
    ).entropy
    assert entropy == 0
    assert math.copysign(1, entropy) == 1


def test_nothing_left_lists_nothing() -> None:
    row = np.log(np.array([0.5, 0.25, 0.25], np.float32))
    shape = DistributionOptions(
        top_k=3, excluded=np.array([0]), allowed=np.array([0]), candidates=[0, 1]
    )
    result = next_token_distribution(row, shape)
    assert result.ids.tolist() == []
    assert result.entropy is None
    assert result.remaining_probability == 0
    assert result.allowed_probability == 0
    assert result.candidate_logprobs.tolist() == [-math.inf, -math.inf]
    assert result.candidate_ranks.tolist() == [0, 0]


@pytest.mark.parametrize("temperature", [1e-3, 1e-300, 5e-324])
def test_temperature_near_zero_leaves_one_word(temperature: float) -> None:
    row = np.log(np.array([0.2, 0.5, 0.3], np.float32))
    result = next_token_distribution(row, DistributionOptions(top_k=1, temperature=temperature))
    assert result.ids.tolist() == [1]
    assert np.exp(result.logprobs) == pytest.approx([1])
    assert result.entropy == pytest.approx(0)


def test_a_very_high_temperature_makes_all_words_alike() -> None:
    row = np.log(np.array([0.2, 0.5, 0.3], np.float32))
    result = next_token_distribution(row, DistributionOptions(top_k=3, temperature=1.7e308))
    assert np.exp(result.logprobs) == pytest.approx([1 / 3] * 3)
    assert result.entropy == pytest.approx(math.log(3))


@given(cases())
def test_input_row_is_not_modified(case: Case) -> None:
    row = np.array(case.row, np.float32)
    next_token_distribution(row, case.shape)
    assert row.tolist() == case.row
