"""The neural cache follows the formula of Grave et al. (2017), under any load."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.arrays import CacheSettings
from service.inference.neural_cache import NeuralCache
from service.language_model import LanguageModel
from service.results.options import ScoreOptions
from tests.support.api_client import ApiClient, error_json

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


def test_the_cache_follows_the_formula_of_the_paper() -> None:
    hidden, targets, logprobs = positions(40)
    found = NeuralCache(SETTINGS, 12).mix(hidden, targets, logprobs)
    assert found == pytest.approx(by_hand(hidden, targets, logprobs), abs=1e-6)
    assert (found != logprobs).any()


@given(st.lists(st.integers(1, 300), max_size=8), st.integers(0, 9))
def test_chunks_have_the_bits_of_the_whole(cuts: list[int], seed: int) -> None:
    hidden, targets, logprobs = positions(300, seed)
    whole = NeuralCache(SETTINGS, 12).mix(hidden, targets, logprobs)
    cache, edges = NeuralCache(SETTINGS, 12), sorted({0, *cuts, 300})
    chunks = [cache.mix(hidden[a:b], targets[a:b], logprobs[a:b]) for a, b in pairwise(edges)]
    assert np.concatenate(chunks).tobytes() == whole.tobytes()


@given(st.integers(1, 40), st.integers(1, 300), st.integers(0, 9))
def test_every_sum_runs_over_the_whole_window(window: int, count: int, seed: int) -> None:
    """The bits are those of a row of W weights, in which positions before the text are 0."""
    settings = CacheSettings(window, SETTINGS.theta, SETTINGS.interpolation)
    hidden, targets, logprobs = positions(count, seed)
    keys = np.rint(hidden * 127).astype(np.float64)
    scale, share = settings.theta / 127**2, settings.interpolation
    expected = logprobs.copy()
    for t in range(1, count):
        first = max(0, t - window)
        scores = keys[first:t] @ keys[t] * scale
        row, same = np.zeros((1, window)), np.zeros((1, window))
        row[0, window - (t - first) :] = np.exp(scores - scores.max())
        same[0, window - (t - first) :] = np.where(targets[first:t] == targets[t], 1, 0)
        cached = (row * same).sum(1)[0] / row.sum(1)[0]
        model = np.exp(logprobs[t].astype(np.float64))
        expected[t] = np.log((1 - share) * model + share * cached)
    found = NeuralCache(settings, 12).mix(hidden, targets, logprobs)
    assert found.tobytes() == expected.tobytes()


def test_memory_is_that_of_a_window_at_most() -> None:
    cache = NeuralCache(CacheSettings(10_000, 0.3, 0.1), 12)
    assert cache.bytes == 0
    cache.mix(*positions(3))
    assert cache.bytes == 3 * (12 + 8)
    full = NeuralCache(SETTINGS, 12)
    full.mix(*positions(300))
    assert full.bytes == SETTINGS.window * (12 + 8)


def test_probabilities_with_the_cache_sum_to_one() -> None:
    hidden, targets, _ = positions(30)
    logits = np.random.default_rng(1).normal(size=(30, 5))
    model = (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)
    total = 0.0
    for word in range(5):
        asked = np.append(targets[:-1], word)
        logprobs = np.append(model[np.arange(29), targets[:-1]], model[29, word])
        mixed = NeuralCache(SETTINGS, 12).mix(hidden, asked, logprobs.astype(np.float32))
        total += float(np.exp(mixed[-1]))
    assert total == pytest.approx(1, abs=1e-6)


def test_an_impossible_word_has_a_finite_score() -> None:
    hidden, _, logprobs = positions(3)
    logprobs[:] = -2000
    found = NeuralCache(SETTINGS, 12).mix(hidden, np.arange(3), logprobs)
    assert np.isfinite(found).all()


def test_repetition_gets_cheaper_over_http(api: ApiClient) -> None:
    plain, cached = (
        api.score(text=TEXT, tokens=False, **more)["summary"]
        for more in ({}, {"cache": {"window": 500, "theta": 0.3, "lambda": 0.2}})
    )
    assert cached["token_count"] == plain["token_count"]
    assert cached["perplexity"] < 0.7 * plain["perplexity"]


def test_texts_share_no_cache_under_load(model: LanguageModel) -> None:
    async def score(texts: list[str]) -> list[bytes]:
        encoded = await model.encoder.encode_texts(texts)
        scores = await model.score(encoded, ScoreOptions(cache=CacheSettings(50, 0.3, 0.2)))
        return [score.logprobs.tobytes() for score in scores]

    async def both() -> tuple[list[bytes], list[bytes]]:
        (alone,) = await score([TEXT])
        crowd = await asyncio.gather(*(score([TEXT, TEXT[5:], "The sea ."]) for _ in range(12)))
        return [alone] * 12, [first for first, *_ in crowd]

    alone, crowded = asyncio.run(both())
    assert crowded == alone


def test_what_all_texts_remember_has_a_limit(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.limits.MAX_CACHE_POSITIONS", 15)
    texts = ["the sea is the sea"] * 3  # six tokens each, the end included
    assert api.post("/score", texts=texts, cache={"window": 5}).status_code == 200
    refusal = error_json(
        api.post("/score", texts=texts, cache={"window": 6}), 422, "input_too_long"
    )
    assert refusal["param"] == "cache"
    assert "18 (at most 15)" in refusal["message"]
    assert api.post("/score", texts=texts).status_code == 200


@pytest.mark.parametrize("more", [{"details": True}, {"top": 2}, {"top_g": 3}])
def test_unsupported_combinations_are_refused(api: ApiClient, more: dict[str, object]) -> None:
    answer = api.post("/score", text="The sea .", cache={}, **more)
    assert answer.status_code == 422
    assert "cache" in answer.json()["error"]["message"]
