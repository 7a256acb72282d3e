"""The Python client against the real service: both clients give what is on the wire."""

import inspect
import math
import socket
import subprocess
import sys
from dataclasses import asdict, fields
from typing import Any

import pytest
from pydantic import BaseModel

from service import client
from service.client import (
    BadRequest,
    Client,
    ConnectionFailed,
    Hypothesis,
    InvalidState,
    ScoreResult,
    requests,
)
from service.http.native import next_token, rescore, score
from service.http.openai import schemas as openai
from service.http.operations import schemas as operations
from tests.support.api_client import ApiClient
from tests.support.sync_or_async_client import SyncOrAsyncClient, what_is_there

LINE = "The bridge crosses the river Zzyzx."


@pytest.fixture(params=[False, True], ids=["Client", "AsyncClient"])
def ask(request: pytest.FixtureRequest, address: tuple[str, int]) -> SyncOrAsyncClient:
    return SyncOrAsyncClient(request.param, f"http://{address[0]}:{address[1]}")


SCORES: list[dict[str, Any]] = [
    {"text": LINE},
    {"text": ""},
    {"texts": ["A river", "Two\nlines", "naïve 𝒳"], "unit": "bits", "details": True},
    {"texts": ["river", "liver"], "contexts": ["The", "Their"], "eos": False, "top": 3},
    {"token_ids": [[2, 3, 4], [5]], "bos": False, "top_g": 5},
    {"text": LINE, "context": "We saw it.", "tokens": False, "return_state": True},
    {"text": "The", "eos": False, "targets": [[{"The": 0.75, "A": 0.25}]]},
]


@pytest.mark.parametrize("asked", SCORES, ids="+".join)
def test_a_score_is_what_the_wire_says(ask: SyncOrAsyncClient, api: ApiClient, asked: Any) -> None:
    result = ask("score", **asked)
    assert what_is_there(asdict(result)) == what_is_there(api.score(**asked))


def test_the_text_may_be_given_by_position(ask: SyncOrAsyncClient) -> None:
    assert ask("score", LINE) == ask("score", text=LINE)
    assert ask("next_token", "The capital of") == ask("next_token", context="The capital of")


NEXT_TOKENS: list[dict[str, Any]] = [
    {},
    {"context": "The capital of", "top_k": 3, "exclude_special": True, "temperature": 0.7},
    {"context": "One of", "prefix": "th", "candidates": ["the", "river"], "return_state": True},
    {"token_ids": [2, 3], "bos": False, "top_k": 0},
]


@pytest.mark.parametrize("asked", NEXT_TOKENS, ids=lambda asked: "+".join(asked) or "nothing")
def test_next_tokens_are_what_the_wire_says(
    ask: SyncOrAsyncClient, api: ApiClient, asked: Any
) -> None:
    result = ask("next_token", **asked)
    assert what_is_there(asdict(result)) == what_is_there(api.next_token(**asked))


def test_going_on_from_a_state_equals_the_whole_text(ask: SyncOrAsyncClient) -> None:
    whole = ask("score", "the river ran on", eos=False)
    (first,) = ask("score", "the river", eos=False, return_state=True).results
    (rest,) = ask("score", " ran on", eos=False, state=first.state).results
    assert [token.logprob for token in first.tokens + rest.tokens] == [
        token.logprob for token in whole.results[0].tokens
    ]


def test_hypotheses_come_back_by_their_total(ask: SyncOrAsyncClient) -> None:
    texts = ["the river", "the liver", "river the"]
    given = [texts[0], Hypothesis(texts[1], 2.5, "b"), Hypothesis(texts[2], score=-1.0)]
    scores = [0.0, 2.5, -1.0]
    results = ask("rescore", given, context="We saw", lm_weight=0.5, length_bonus=0.25).results
    summaries = ask("score", texts=texts, context="We saw").results
    expected = [
        score - 0.5 * one.total_cross_entropy + 0.25 * one.token_count
        for score, one in zip(scores, summaries, strict=True)
    ]
    order = sorted(range(3), key=lambda index: -expected[index])
    assert [one.index for one in results] == order
    assert [one.text for one in results] == [texts[index] for index in order]
    assert [one.total for one in results] == pytest.approx([expected[index] for index in order])
    assert {one.index: one.id for one in results} == {0: None, 1: "b", 2: None}


def test_ids_become_the_text_they_were_made_of(ask: SyncOrAsyncClient) -> None:
    made = ask("tokenize", "the river ran on", add_special_tokens=False)
    assert made.count == len(made.tokens) > 0
    text = ask("detokenize", made.tokens)
    assert ask("tokenize", text, add_special_tokens=False) == made
    assert ask("tokenize", "the river ran on").tokens[1:] == made.tokens


def test_info_is_what_the_wire_says(ask: SyncOrAsyncClient, api: ApiClient) -> None:
    assert what_is_there(asdict(ask("info"))) == what_is_there(api.http.get("/info").json())


def test_a_warm_service_is_ready(ask: SyncOrAsyncClient) -> None:
    assert ask("ready") is True


def test_an_error_says_what_and_where_and_which_request(ask: SyncOrAsyncClient) -> None:
    with pytest.raises(BadRequest) as caught:
        ask("score", token_ids=[[2], [10**9]])
    error = caught.value
    assert (error.status, error.code) == (422, "unknown_token")
    assert error.param is not None
    assert error.param.startswith("token_ids.1")
    assert error.request_id
    for part in ("422", "unknown_token", error.param, error.message, error.request_id):
        assert part in str(error)


def test_a_changed_state_is_told_apart(ask: SyncOrAsyncClient) -> None:
    with pytest.raises(InvalidState):
        ask("next_token", "a", state="AAAA")


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_what_is_no_unicode_is_a_value_error(ask: SyncOrAsyncClient, text: str) -> None:
    with pytest.raises(ValueError, match="surrogate"):
        ask("score", text)


def test_a_nan_is_a_value_error(ask: SyncOrAsyncClient) -> None:
    with pytest.raises(ValueError, match="JSON"):
        ask("rescore", ["a"], lm_weight=math.nan)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_where_nothing_listens_nothing_answers(asynchronous: bool) -> None:
    with socket.socket() as bound:  # never listens: the port is refused, and no other's
        bound.bind(("127.0.0.1", 0))
        ask = SyncOrAsyncClient(asynchronous, f"http://127.0.0.1:{bound.getsockname()[1]}")
        assert ask("ready") is False
        assert ask.sleeps == []
        with pytest.raises(ConnectionFailed) as caught:
            ask("info")
    assert caught.value.status is None
    assert len(ask.sleeps) == 4


DETAILED = {"texts": ["A river", "Two\nlines"], "unit": "bits", "details": True, "top_g": 5}


def test_a_dataframe_has_a_row_for_each_token(ask: SyncOrAsyncClient) -> None:
    pytest.importorskip("pandas")
    result = ask("score", **DETAILED)
    frame = result.to_dataframe()
    tokens = [token for one in result.results for token in one.tokens]
    lengths = [len(one.tokens) for one in result.results]
    assert frame["text_index"].tolist() == [0] * lengths[0] + [1] * lengths[1]
    assert frame["position"].tolist() == [*range(lengths[0]), *range(lengths[1])]
    names = ["id", "text", "surface", "start", "end", "logprob", "cross_entropy", "oov"]
    names += ["rank", "entropy", "anomalous"]
    assert list(frame.columns) == ["text_index", "position", *names]
    for name in names:
        assert frame[name].tolist() == [getattr(token, name) for token in tokens]
    assert frame.attrs == {"model": result.model, "unit": "bits"}


def test_a_dataframe_marks_what_is_missing(ask: SyncOrAsyncClient) -> None:
    pytest.importorskip("pandas")
    frame = ask("score", token_ids=[[2, 3]], bos=False, eos=False).to_dataframe()
    assert frame["logprob"].isna().tolist() == [True, False]
    assert frame["start"].isna().all()
    assert str(frame["start"].dtype) == "Int64"
    assert "rank" not in frame
    nothing = ask("score", "", eos=False).to_dataframe()
    assert len(nothing) == 0
    assert list(nothing.dtypes) == list(frame.dtypes)


def test_a_dataframe_needs_tokens(ask: SyncOrAsyncClient) -> None:
    pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="tokens=True"):
        ask("score", "a", tokens=False).to_dataframe()


def test_without_pandas_a_dataframe_says_what_to_install(
    ask: SyncOrAsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    result: ScoreResult = ask("score", "a")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        result.to_dataframe()


def test_importing_the_client_loads_nothing_of_the_service() -> None:
    heavy = {"fastapi", "pydantic", "onnxruntime", "numpy", "pandas", "tokenizers"}
    script = "import sys, service.client; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "httpx" in loaded
    assert loaded & heavy == set()


@pytest.mark.parametrize(
    ("mine", "schema"),
    [
        (client.ScoreResult, score.ScoreResponse),
        (client.TextResult, score.TextResult),
        (client.Aggregates, score.Aggregates),
        (client.TokenScore, score.TokenScore),
        (client.WordScore, score.WordScore),
        (client.Alternative, score.Alternative),
        (client.NextTokenResult, next_token.NextTokenResponse),
        (client.RankedToken, next_token.RankedToken),
        (client.CandidateToken, next_token.CandidateToken),
        (client.RescoreResult, rescore.RescoreResponse),
        (client.RescoredHypothesis, rescore.RescoredHypothesis),
        (client.Hypothesis, rescore.Hypothesis),
        (client.Tokenization, openai.TokenizeResponse),
        (client.Info, operations.Info),
        (client.Limits, operations.Limits),
        (client.TokenizerSummary, operations.TokenizerSummary),
    ],
)
def test_the_client_has_every_field_of_the_service(mine: Any, schema: type[BaseModel]) -> None:
    assert {field.name for field in fields(mine)} == set(schema.model_fields)


@pytest.mark.parametrize(
    ("call", "schema"),
    [
        (requests.score, score.ScoreRequest),
        (requests.next_token, next_token.NextTokenRequest),
        (requests.rescore, rescore.RescoreRequest),
        (requests.tokenize, openai.TokenizeRequest),
        (requests.detokenize, openai.DetokenizeRequest),
    ],
)
def test_the_client_has_the_service_s_arguments_and_defaults(
    call: Any, schema: type[BaseModel]
) -> None:
    parameters = inspect.signature(call).parameters
    assert set(parameters) == set(schema.model_fields)
    for name, field in schema.model_fields.items():
        default = parameters[name].default
        if field.is_required():
            assert default is inspect.Parameter.empty
        elif default is not None:  # None is not sent
            assert default == (tuple(field.default) if name == "candidates" else field.default)


def test_help_shows_the_arguments_and_the_result() -> None:
    assert str(inspect.signature(Client.detokenize)) == (
        "(self, /, tokens: collections.abc.Sequence[int]) -> str"
    )
    assert "Raises" in (inspect.getdoc(Client.score) or "")
