"""Drawing a token: against probabilities worked out here, for any distribution."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.results.options import GenerationOptions
from service.results.sampling import Sampler

UNKNOWN = 0
DRAWS = 2000
probabilities = st.lists(
    st.integers(1, 1000), min_size=2, max_size=8, unique=True
)  # of no ties: which of two equal ones is kept is a matter of order


def log_probabilities(weights: list[int]) -> np.ndarray:
    row = np.array(weights, np.float64)
    scaled: np.ndarray = np.log(row / row.sum()).astype(np.float32)
    return scaled


def allowed(weights: list[int], temperature: float, top_p: float) -> dict[int, float]:
    """Return the ids that may be drawn and their probabilities: the fewest that reach top_p."""
    powers = {i: w ** (1 / temperature) for i, w in enumerate(weights) if i != UNKNOWN}
    total = sum(powers.values())
    kept: dict[int, float] = {}
    for token in sorted(powers, key=lambda i: -powers[i]):
        if sum(kept.values()) >= top_p:
            break
        kept[token] = powers[token] / total
    mass = sum(kept.values())
    return {token: probability / mass for token, probability in kept.items()}


def sampler(temperature: float, top_p: float = 1.0, seed: int | None = 1, top: int = 0) -> Sampler:
    options = GenerationOptions(
        max_tokens=1,
        temperature=temperature,
        top_p=top_p,
        top=top,
        seed=None if seed is None else [seed, 0],
    )
    return Sampler(options, excluded=UNKNOWN)


@given(probabilities)
def test_temperature_0_takes_most_probable_known_token(weights: list[int]) -> None:
    expected = 1 + weights[1:].index(max(weights[1:]))
    assert sampler(0)(log_probabilities(weights)).id == expected


@given(probabilities, st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0.001, 0.31, 0.77, 1.0]))
def test_top_p_keeps_the_fewest_tokens(
    weights: list[int], temperature: float, top_p: float
) -> None:
    draw, row = sampler(temperature, top_p), log_probabilities(weights)
    drawn = {draw(row).id for _ in range(100)}
    assert drawn <= set(allowed(weights, temperature, top_p))


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (2.0, 0.8), (1.0, 0.5)])
def test_draws_follow_the_probabilities(temperature: float, top_p: float) -> None:
    weights = [500, 300, 100, 250, 40, 5]
    draw, row = sampler(temperature, top_p), log_probabilities(weights)
    counts = Counter(draw(row).id for _ in range(DRAWS))
    expected = allowed(weights, temperature, top_p)
    assert set(counts) <= set(expected)
    for token, probability in expected.items():
        error = math.sqrt(probability * (1 - probability) / DRAWS)
        assert counts[token] / DRAWS == pytest.approx(probability, abs=5 * error + 1e-12)


@pytest.mark.parametrize("temperature", [1e-320, 1e-300, 1e-6])
def test_tiny_temperature_equals_0(temperature: float) -> None:
    row = log_probabilities([9, 2, 7, 1])
    assert {sampler(temperature, seed=seed)(row).id for seed in range(5)} == {2}


def test_logprob_ignores_temperature() -> None:
    row = log_probabilities([9, 2, 7, 1])
    for temperature in (0, 0.5, 3.0):
        step = sampler(temperature, 0.9)(row)
        assert step.logprob == float(row[step.id])


def test_alternatives_include_unknown_word() -> None:
    row = log_probabilities([9, 2, 7, 1])
    step = sampler(1.0, top=3)(row)
    assert step.top_ids == [0, 2, 1]
    assert step.top_logprobs == [float(row[i]) for i in (0, 2, 1)]
    assert len(sampler(1.0, top=100)(row).top_ids) == 4


def test_seed_determines_draws() -> None:
    row = log_probabilities(list(range(1, 500)))

    def tokens(seed: int | None) -> list[int]:
        draw = sampler(1.0, seed=seed)
        return [draw(row).id for _ in range(20)]

    assert tokens(7) == tokens(7)
    assert tokens(7) != tokens(8)
    assert tokens(None) != tokens(None)
