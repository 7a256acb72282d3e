"""Tests of expectation maximisation against an enumeration of all segmentations of a word."""

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.data.unigram import _Lattice, fit_subwords

SYMBOLS = ["a", "b", "c"]
words = st.dictionaries(st.text("abc", min_size=1, max_size=7), st.integers(1, 9), min_size=1)
longer = st.sets(st.text("abc", min_size=2, max_size=4), max_size=8)


def cuts(word: str, pieces: list[str]) -> Iterator[list[str]]:
    if not word:
        yield []
    for piece in pieces:
        if word.startswith(piece):
            for rest in cuts(word[len(piece) :], pieces):
                yield [piece, *rest]


def expected_by_hand(
    counts: dict[str, int], pieces: list[str], probabilities: dict[str, float]
) -> list[float]:
    used: Counter[str] = Counter()
    for word, times in counts.items():
        ways = list(cuts(word, pieces))
        weights = [math.prod(probabilities[piece] for piece in way) for way in ways]
        for way, weight in zip(ways, weights, strict=True):
            for piece in way:
                used[piece] += times * weight / sum(weights)  # type: ignore[assignment]  # a float
    return [used[piece] for piece in pieces]


@settings(max_examples=100, deadline=None)
@given(counts=words, more=longer, seed=st.integers(0, 99))
def test_expected_counts_equal_all_segmentations(
    counts: dict[str, int], more: set[str], seed: int
) -> None:
    pieces = [*SYMBOLS, *sorted(more)]
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(len(pieces))) + 1e-6
    found = _Lattice.of(list(counts), pieces).expected(
        np.log(probabilities), np.array(list(counts.values()), np.float64)
    )
    by_hand = dict(zip(pieces, probabilities.tolist(), strict=True))
    assert found.tolist() == pytest.approx(expected_by_hand(counts, pieces, by_hand))


@settings(max_examples=50, deadline=None)
@given(counts=words, more=longer)
def test_restricted_lattice_equals_a_new_one(counts: dict[str, int], more: set[str]) -> None:
    pieces = [*SYMBOLS, *sorted(more)]
    kept = [i for i in range(len(pieces)) if i < len(SYMBOLS) or i % 2]
    weights = np.array(list(counts.values()), np.float64)
    scores = np.log(np.full(len(kept), 1 / len(kept)))
    smaller = _Lattice.of(list(counts), pieces).restrict(np.array(kept, np.int32))
    anew = _Lattice.of(list(counts), [pieces[i] for i in kept])
    assert smaller.expected(scores, weights).tolist() == pytest.approx(
        anew.expected(scores, weights).tolist()
    )


@settings(max_examples=50, deadline=None)
@given(counts=words, more=longer, size=st.integers(3, 12))
def test_symbols_stay_and_no_more_than_asked(
    counts: dict[str, int], more: set[str], size: int
) -> None:
    fitted = fit_subwords(counts, [*SYMBOLS, *sorted(more)], size)
    assert set(SYMBOLS) <= set(fitted) <= {*SYMBOLS, *more}
    assert len(fitted) == min(size, len(SYMBOLS) + len(more))
    assert list(fitted.values()) == sorted(fitted.values(), reverse=True)
    assert sum(map(math.exp, fitted.values())) == pytest.approx(1, abs=1e-4)
    backwards = dict(reversed(counts.items()))
    assert fit_subwords(backwards, [*SYMBOLS, *sorted(more)], size) == fitted


def test_most_useful_subword_is_kept() -> None:
    counts = {"abcabc": 50, "abc": 100, "ca": 3}
    assert "abc" in fit_subwords(counts, [*SYMBOLS, "abc", "ca", "bc", "ab"], 4)
