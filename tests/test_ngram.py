"""Tests of the n-gram model that serves as the baseline."""

import math
import random

import pytest

from tests.programs.benchmarks.ngram import BEGIN, KneserNey

WORDS = 12


def some_lines(count: int, seed: int = 0) -> list[list[int]]:
    """Return lines in which a word often recurs two places later; 0 ends a line."""
    draw = random.Random(seed)
    lines = []
    for _ in range(count):
        line = [draw.randrange(1, WORDS), draw.randrange(1, WORDS)]
        while draw.random() < 0.9:
            line.append(line[-2] if draw.random() < 0.7 else draw.randrange(1, WORDS))
        lines.append([*line, 0])
    return lines


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_of_all_words_sum_to_one(order: int) -> None:
    model = KneserNey(some_lines(300), order, WORDS)
    for before in ([BEGIN], [BEGIN, 3], [3, 4, 3, 4], [11, 1, 9, 2], [99, 99]):
        total = sum(model.probability(word, before[-(order - 1) :]) for word in range(WORDS))
        assert total == pytest.approx(1, abs=1e-12)


def test_a_bigram_by_hand() -> None:
    """The lines 1 2 0 and 1 1 2 0 are too few to estimate discounts, which are 0.5, 1 and 1.5."""
    model = KneserNey([[1, 2, 0], [1, 1, 2, 0]], 2, 3)
    # Words seen before: 1 after BEGIN and 1, 2 after 1, 0 after 2; of four bigrams.
    unigram_2 = (1 - 0.5) / 4 + (0.5 + 0.5 + 1.0) / 4 / 3
    # After 1: 2 twice and 1 once.
    assert model.probability(2, [1]) == pytest.approx((2 - 1) / 3 + 1.5 / 3 * unigram_2)
    # After BEGIN: 1 twice, never 2.
    assert model.probability(2, [BEGIN]) == pytest.approx(1 / 2 * unigram_2)


def test_a_trigram_uses_the_second_last_word() -> None:
    """Each word depends only on the second-last word, which a bigram does not see."""
    train, test = some_lines(2000), some_lines(200, seed=1)
    found = []
    for order in (1, 2, 3):
        total, tokens = KneserNey(train, order, WORDS).cross_entropy(test)
        found.append(math.exp(total / tokens))
    assert found[1] == pytest.approx(found[0], rel=0.05)
    assert found[2] < 0.6 * found[1]
