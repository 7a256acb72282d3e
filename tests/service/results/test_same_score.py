"""The scores of a text do not depend on its batch, the load or the chunks."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.api_client import ApiClient, Json, logprobs

NATS = 1e-5
CLIENTS = 8

words = st.sampled_from(["The", "city", "of", "the", "Zxqvyk", "1905", ",", "was", "on", "\n", "é"])
texts = st.lists(words, max_size=60).map(" ".join) | st.text(max_size=20)
batches = st.lists(texts, min_size=1, max_size=12)


@cache
def alone(api: ApiClient, text: str) -> list[float | None]:
    return logprobs(api.score_one(text=text))


def check(api: ApiClient, scored: Sequence[str], results: Sequence[Json]) -> None:
    for text, result in zip(scored, results, strict=True):
        assert logprobs(result) == pytest.approx(alone(api, text), abs=NATS)


@given(batch=batches)
def test_batch_mates_and_padding_never_change_a_score(api: ApiClient, batch: list[str]) -> None:
    check(api, batch, api.score(texts=batch)["results"])


@given(batch=batches, data=st.data())
def test_order_never_changes_a_score(api: ApiClient, batch: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(batch))
    check(api, shuffled, api.score(texts=shuffled)["results"])


@settings(max_examples=15)
@given(requests=st.lists(batches, min_size=CLIENTS, max_size=CLIENTS))
def test_concurrent_requests_never_change_a_score(
    api: ApiClient, requests: list[list[str]]
) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda batch: api.score(texts=batch)["results"], requests))
    for batch, results in zip(requests, answers, strict=True):
        check(api, batch, results)


@settings(max_examples=15)
@given(contexts=st.lists(texts, min_size=CLIENTS, max_size=CLIENTS))
def test_concurrent_requests_never_change_a_distribution(
    api: ApiClient, contexts: list[str]
) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda context: api.next_token(context=context), contexts))
    for context, answer in zip(contexts, answers, strict=True):
        listed = {token["id"]: token["logprob"] for token in answer["tokens"]}
        again = api.next_token(context=context, top_k=20)["tokens"]
        expected = {token["id"]: token["logprob"] for token in again}
        for token, logprob in listed.items():
            assert logprob == pytest.approx(expected[token], abs=NATS)


@given(batch=batches, context=texts)
def test_shared_context_scores_as_the_whole_text(
    api: ApiClient, batch: list[str], context: str
) -> None:
    results = api.score(texts=batch, context=f"{context}\n")["results"]
    for text, result in zip(batch, results, strict=True):
        whole = alone(api, f"{context}\n{text}")
        assert logprobs(result) == pytest.approx(whole[-len(logprobs(result)) :], abs=NATS)


@settings(max_examples=10)
@given(lines=st.lists(texts, min_size=2, max_size=8), repeats=st.integers(5, 40))
def test_chunks_of_a_long_text_change_no_score(
    api: ApiClient, lines: list[str], repeats: int
) -> None:
    """Any number of batches gives the scores that lines have after their contexts."""
    start = "\n".join(lines * repeats) + "\n"
    for line in lines:
        after = api.score_one(text=line, context=start)
        whole = api.score_one(text=start + line)
        assert logprobs(after) == pytest.approx(logprobs(whole)[-len(logprobs(after)) :], abs=NATS)
