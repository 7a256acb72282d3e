"""The continuous cache against the formula of Grave et al. (2017), and against the load."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.continuous_cache import CacheSettings, ContinuousCache
from service.language_model import LanguageModel
from tests.service.wire import Wire

SETTINGS = CacheSettings(window=7, theta=0.6, interpolation=0.2)
TEXT = "The river runs to the sea . The old river runs slowly , and the sea is its end . " * 6


def by_hand(hidden: np.ndarray, targets: np.ndarray, logprobs: np.ndarray) -> list[float]:
    keys = np.rint(hidden.astype(np.float64) * 127) / 127
    found = []
    for t, word in enumerate(targets):
        past = range(max(0, t - SETTINGS.window), t)
        if not past:
            found.append(float(logprobs[t]))
            continue
        weights = {i: np.exp(SETTINGS.theta * keys[i] @ keys[t]) for i in past}
        cached = sum(w for i, w in weights.items() if targets[i] == word) / sum(weights.values())
        model = np.exp(float(logprobs[t]))
        found.append(np.log((1 - SETTINGS.interpolation) * model + SETTINGS.interpolation * cached))
    return found


def positions(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    hidden = random.uniform(-1, 1, (count, 12)).astype(np.float32)
    logprobs = -random.exponential(4, count).astype(np.float32)
    return hidden, random.integers(0, 5, count), logprobs


def test_it_is_the_formula_of_the_paper() -> None:
    hidden, targets, logprobs = positions(40)
    found = ContinuousCache(SETTINGS, 12).mix(hidden, targets, logprobs)
    assert found == pytest.approx(by_hand(hidden, targets, logprobs), abs=1e-6)
    assert (found != logprobs).any()


@given(st.lists(st.integers(1, 300), max_size=8), st.integers(0, 9))
def test_pieces_give_the_same_bits_as_the_whole(cuts: list[int], seed: int) -> None:
    hidden, targets, logprobs = positions(300, seed)
    whole = ContinuousCache(SETTINGS, 12).mix(hidden, targets, logprobs)
    cache, edges = ContinuousCache(SETTINGS, 12), sorted({0, *cuts, 300})
    pieces = [cache.mix(hidden[a:b], targets[a:b], logprobs[a:b]) for a, b in pairwise(edges)]
    assert np.concatenate(pieces).tobytes() == whole.tobytes()


def test_probabilities_of_all_words_still_sum_to_one() -> None:
    hidden, targets, _ = positions(30)
    logits = np.random.default_rng(1).normal(size=(30, 5))
    model = (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)
    total = 0.0
    for word in range(5):
        asked = np.append(targets[:-1], word)
        logprobs = np.append(model[np.arange(29), targets[:-1]], model[29, word])
        mixed = ContinuousCache(SETTINGS, 12).mix(hidden, asked, logprobs.astype(np.float32))
        total += float(np.exp(mixed[-1]))
    assert total == pytest.approx(1, abs=1e-6)


def test_a_word_that_the_model_thinks_impossible_keeps_its_score() -> None:
    hidden, _, logprobs = positions(3)
    logprobs[:] = -2000
    found = ContinuousCache(SETTINGS, 12).mix(hidden, np.arange(3), logprobs)
    assert np.isfinite(found).all()


def test_repetition_gets_cheaper_over_http(wire: Wire) -> None:
    plain, cached = (
        wire.score(text=TEXT, tokens=False, **more)["summary"]
        for more in ({}, {"cache": {"window": 500, "theta": 0.3, "lambda": 0.2}})
    )
    assert cached["token_count"] == plain["token_count"]
    assert cached["perplexity"] < 0.7 * plain["perplexity"]


def test_texts_share_no_memory_and_no_load_changes_a_bit(model: LanguageModel) -> None:
    async def score(texts: list[str]) -> list[bytes]:
        passages = await model.read.texts(texts)
        scores = await model.score(passages, cache=CacheSettings(50, 0.3, 0.2))
        return [score.logprobs.tobytes() for score in scores]

    async def both() -> tuple[list[bytes], list[bytes]]:
        (alone,) = await score([TEXT])
        crowd = await asyncio.gather(*(score([TEXT, TEXT[5:], "The sea ."]) for _ in range(12)))
        return [alone] * 12, [first for first, *_ in crowd]

    alone, crowded = asyncio.run(both())
    assert crowded == alone


@pytest.mark.parametrize("more", [{"details": True}, {"top": 2}, {"top_g": 3}])
def test_with_what_it_does_not_change_it_is_refused(wire: Wire, more: dict[str, object]) -> None:
    answer = wire.post("/score", text="The sea .", cache={}, **more)
    assert answer.status_code == 422
    assert "cache" in answer.json()["error"]["message"]
