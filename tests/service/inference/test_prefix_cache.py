"""The prefix cache finds the longest cached prefix, is bounded, and changes no figure."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle import Bundle
from service.inference.context_encoder import select_checkpoints
from service.inference.prefix_cache import PrefixCache
from service.language_model import LanguageModel
from service.results.options import NextTokenOptions, ScoreOptions
from service.settings import Settings

small_ids = st.lists(st.integers(0, 3), min_size=1, max_size=8)


def array(ids: list[int]) -> np.ndarray:
    return np.array(ids, np.int64)


@given(kept=st.lists(small_ids, max_size=12), asked=small_ids)
def test_the_longest_known_beginning_is_found(kept: list[list[int]], asked: list[int]) -> None:
    cache = PrefixCache(1 << 20)
    for index, ids in enumerate(kept):
        cache.add(array(ids), np.full(2, index, np.float32))
    beginnings = [ids for ids in kept if asked[: len(ids)] == ids]
    found = cache.find(array(asked))
    if not beginnings:
        assert found is None
        return
    longest = max(beginnings, key=len)
    last = max(index for index, ids in enumerate(kept) if ids == longest)
    assert found is not None
    assert (found[0], found[1].tolist()) == (len(longest), [last, last])


@given(st.lists(small_ids, max_size=40))
def test_bytes_stay_within_the_bound(contexts: list[list[int]]) -> None:
    cache = PrefixCache(3000)
    for ids in contexts:
        cache.add(array(ids), np.zeros(50, np.float32))
        assert cache.bytes <= 3000


def test_the_least_recently_used_goes_first() -> None:
    cache = PrefixCache(2 * (8 + 40 + 500))
    state = np.zeros(10, np.float32)
    cache.add(array([1]), state)
    cache.add(array([2]), state)
    assert cache.find(array([1])) is not None
    cache.add(array([3]), state)
    assert cache.find(array([2])) is None
    assert cache.find(array([1])) is not None


@given(st.lists(st.integers(1, 50), min_size=1, max_size=300))
def test_checkpoints_are_few_and_near_the_end(steps: list[int]) -> None:
    positions = np.cumsum(steps).tolist()
    state = np.zeros(1, np.float32)
    kept = [
        position
        for position, _ in select_checkpoints([(position, state) for position in positions])
    ]
    end = positions[-1]
    assert kept == sorted(set(kept) & set(positions))
    assert kept[-1] == end
    assert len(kept) <= 2 + np.log2(end)
    for wanted in positions:  # at most about twice the tokens run again
        before = max((position for position in kept if position <= wanted), default=0)
        assert end - before <= 2 * (end - wanted) + max(steps)


def test_zero_bytes_turn_the_cache_off() -> None:
    cache = PrefixCache(0)
    cache.add(array([1]), np.zeros(1, np.float32))
    assert cache.find(array([1])) is None


@pytest.fixture(scope="module")
def pair(bundle_path: Path) -> Iterator[tuple[LanguageModel, LanguageModel]]:
    """Two models of one bundle: with the cache, and without."""
    bundle = Bundle.load(bundle_path)
    with_cache = LanguageModel(bundle, Settings(threads=1, prefix_cache_bytes=200_000))
    without = LanguageModel(bundle, Settings(threads=1, prefix_cache_bytes=0))
    yield with_cache, without
    with_cache.close()
    without.close()


words = st.sampled_from(["the", "band", "was", "born", "in", "London", ",", "1990", "xyzzy"])
phrases = st.lists(words, max_size=12).map(" ".join)


@given(context=phrases, text=phrases, bos=st.booleans())
def test_the_cache_never_changes_a_score(
    pair: tuple[LanguageModel, LanguageModel], context: str, text: str, bos: bool
) -> None:
    async def figures(model: LanguageModel) -> tuple[bytes, bytes]:
        before, after = await model.encoder.encode_texts([context, text])
        (score,) = await model.score([after], ScoreOptions(bos=bos), contexts=[before])
        result = await model.next_token(before, NextTokenOptions(top_k=20, bos=bos))
        whole = result.distribution
        return score.logprobs.tobytes(), whole.logprobs.tobytes()

    cached, plain = pair
    assert asyncio.run(figures(cached)) == asyncio.run(figures(plain))


def test_contexts_with_a_shared_prefix_hit_the_cache(
    pair: tuple[LanguageModel, LanguageModel],
) -> None:
    model, _ = pair

    def hits() -> float:
        return float(model.metrics.registry.get_sample_value("tiedlm_prefix_cache_hits_total") or 0)

    async def ask(context: str) -> None:
        (encoded,) = await model.encoder.encode_texts([context])
        await model.next_token(encoded, NextTokenOptions(top_k=1))

    asyncio.run(ask("born born born"))
    before = hits()
    asyncio.run(ask("born born born in London"))
    assert hits() == before + 1


def test_scored_texts_never_enter_the_cache(
    pair: tuple[LanguageModel, LanguageModel],
) -> None:
    model, _ = pair

    async def score() -> None:
        await model.score(await model.encoder.encode_texts(["was was was was was"]))

    before = model._contexts.cache.bytes
    asyncio.run(score())
    assert model._contexts.cache.bytes == before
