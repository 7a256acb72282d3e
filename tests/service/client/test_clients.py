"""Both clients against the real service: results equal the JSON on the wire."""

import math
import socket
from dataclasses import asdict
from typing import Any

import pytest

from service.client import BadRequest, ConnectionFailed, Hypothesis, InvalidState
from tests.support.api_client import ApiClient
from tests.support.sync_or_async_client import SyncOrAsyncClient, drop_missing

LINE = "The bridge crosses the river Zzyzx."

SCORES: list[dict[str, Any]] = [
    {"text": LINE},
    {"text": ""},
    {"texts": ["A river", "Two\nlines", "naïve 𝒳"], "unit": "bits", "details": True},
    {"texts": ["river", "liver"], "contexts": ["The", "Their"], "eos": False, "top": 3},
    {"token_ids": [[2, 3, 4], [5]], "bos": False, "top_g": 5},
    {"text": LINE, "context": "We saw it.", "tokens": False, "return_state": True},
    {"text": "The", "eos": False, "targets": [[{"The": 0.75, "A": 0.25}]]},
]


@pytest.mark.parametrize("fields", SCORES, ids="+".join)
def test_score_equals_the_wire(client: SyncOrAsyncClient, api: ApiClient, fields: Any) -> None:
    result = client("score", **fields)
    assert drop_missing(asdict(result)) == drop_missing(api.score(**fields))


def test_text_may_be_positional(client: SyncOrAsyncClient) -> None:
    assert client("score", LINE) == client("score", text=LINE)
    assert client("next_token", "The capital of") == client("next_token", context="The capital of")


NEXT_TOKENS: list[dict[str, Any]] = [
    {},
    {"context": "The capital of", "top_k": 3, "exclude_special": True, "temperature": 0.7},
    {"context": "One of", "prefix": "th", "candidates": ["the", "river"], "return_state": True},
    {"token_ids": [2, 3], "bos": False, "top_k": 0},
]


@pytest.mark.parametrize("fields", NEXT_TOKENS, ids=lambda fields: "+".join(fields) or "nothing")
def test_next_tokens_equal_the_wire(client: SyncOrAsyncClient, api: ApiClient, fields: Any) -> None:
    result = client("next_token", **fields)
    assert drop_missing(asdict(result)) == drop_missing(api.next_token(**fields))


def test_continuing_a_state_equals_the_whole_text(client: SyncOrAsyncClient) -> None:
    whole = client("score", "the river ran on", eos=False)
    (first,) = client("score", "the river", eos=False, return_state=True).results
    (rest,) = client("score", " ran on", eos=False, state=first.state).results
    assert [token.logprob for token in first.tokens + rest.tokens] == [
        token.logprob for token in whole.results[0].tokens
    ]


def test_hypotheses_are_sorted_by_total(client: SyncOrAsyncClient) -> None:
    texts = ["the river", "the liver", "river the"]
    given = [texts[0], Hypothesis(texts[1], 2.5, "b"), Hypothesis(texts[2], score=-1.0)]
    scores = [0.0, 2.5, -1.0]
    results = client("rescore", given, context="We saw", lm_weight=0.5, length_bonus=0.25).results
    per_text = client("score", texts=texts, context="We saw").results
    expected = [
        score - 0.5 * result.total_cross_entropy + 0.25 * result.token_count
        for score, result in zip(scores, per_text, strict=True)
    ]
    order = sorted(range(3), key=lambda index: -expected[index])
    assert [result.index for result in results] == order
    assert [result.text for result in results] == [texts[index] for index in order]
    assert [result.total for result in results] == pytest.approx(
        [expected[index] for index in order]
    )
    assert {result.index: result.id for result in results} == {0: None, 1: "b", 2: None}


def test_detokenize_inverts_tokenize(client: SyncOrAsyncClient) -> None:
    tokenized = client("tokenize", "the river ran on", add_special_tokens=False)
    assert tokenized.count == len(tokenized.tokens) > 0
    text = client("detokenize", tokenized.tokens)
    assert client("tokenize", text, add_special_tokens=False) == tokenized
    assert client("tokenize", "the river ran on").tokens[1:] == tokenized.tokens


def test_info_equals_the_wire(client: SyncOrAsyncClient, api: ApiClient) -> None:
    assert drop_missing(asdict(client("info"))) == drop_missing(api.http.get("/info").json())


def test_warm_service_is_ready(client: SyncOrAsyncClient) -> None:
    assert client("ready") is True


def test_error_contains_code_field_and_request(client: SyncOrAsyncClient) -> None:
    with pytest.raises(BadRequest) as caught:
        client("score", token_ids=[[2], [10**9]])
    error = caught.value
    assert (error.status, error.code) == (422, "unknown_token")
    assert error.param is not None
    assert error.param.startswith("token_ids.1")
    assert error.request_id
    for part in ("422", "unknown_token", error.param, error.message, error.request_id):
        assert part in str(error)


def test_invalid_state_has_its_own_error(client: SyncOrAsyncClient) -> None:
    with pytest.raises(InvalidState):
        client("next_token", "a", state="AAAA")


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_lone_surrogate_is_a_value_error(client: SyncOrAsyncClient, text: str) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        client("score", text)


def test_nan_is_a_value_error(client: SyncOrAsyncClient) -> None:
    with pytest.raises(ValueError, match="JSON"):
        client("rescore", ["a"], lm_weight=math.nan)


def test_refused_connection_is_retried(asynchronous: bool) -> None:
    with socket.socket() as bound:  # not listening: connections are refused, the port is reserved
        bound.bind(("127.0.0.1", 0))
        client = SyncOrAsyncClient(asynchronous, f"http://127.0.0.1:{bound.getsockname()[1]}")
        assert client("ready") is False
        assert client.sleeps == []
        with pytest.raises(ConnectionFailed) as caught:
            client("info")
    assert caught.value.status is None
    assert len(client.sleeps) == 4
