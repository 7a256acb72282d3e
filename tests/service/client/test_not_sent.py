"""What the Python client cannot send is refused before it is, and no secret is quoted."""

import math
from typing import Any

import httpx
import numpy as np
import pytest

from service.client import AsyncClient, Client, ConnectionFailed, NotSent, TiedlmError
from tests.support.sync_or_async_client import CannedResponses, SyncOrAsyncClient, error_response

URL = "http://tiedlm.test/below"
REFUSED = error_response(422, "invalid_request")
HALF = "a\ud800"
SECRETS = "http://somebody:pass-word@127.0.0.1:1/below?token=hidden"


@pytest.fixture(params=[False, True], ids=["Client", "AsyncClient"])
def answers(request: pytest.FixtureRequest) -> tuple[SyncOrAsyncClient, CannedResponses]:
    handler = CannedResponses(REFUSED)
    return SyncOrAsyncClient(request.param, URL, handler), handler


@pytest.mark.parametrize(
    ("method", "fields", "param"),
    [
        ("score", {"text": HALF}, "text"),
        ("score", {"texts": ["a", HALF]}, "texts.1"),
        ("score", {"text": "a", "context": "\udfff"}, "context"),
        ("score", {"texts": ["a"], "contexts": [HALF]}, "contexts.0"),
        ("score", {"text": "a", "calibration": HALF}, "calibration"),
        ("score", {"text": "a", "state": HALF}, "state"),
        ("score", {"text": "a", "unit": HALF}, "unit"),
        ("score", {"text": "a", "targets": [[{"b": 0.5, HALF: 0.5}]]}, "targets.0.0"),
        ("score", {"text": "a", "cache": {HALF: 1}}, "cache"),
        ("next_token", {"context": HALF}, "context"),
        ("next_token", {"candidates": ["a", HALF]}, "candidates.1"),
        ("next_token", {"prefix": HALF}, "prefix"),
        ("next_token", {"state": HALF}, "state"),
        ("rescore", {"hypotheses": ["a", HALF]}, "hypotheses.1.text"),
        ("rescore", {"hypotheses": [{"text": "a", "id": HALF}]}, "hypotheses.0.id"),
        ("rescore", {"hypotheses": [{"text": "a", HALF: 1}]}, "hypotheses.0"),
        ("rescore", {"hypotheses": ["a"], "context": HALF}, "context"),
        ("tokenize", {"prompt": HALF}, "prompt"),
    ],
)
def test_a_lone_surrogate_is_not_sent(
    answers: tuple[SyncOrAsyncClient, CannedResponses],
    method: str,
    fields: dict[str, Any],
    param: str,
) -> None:
    ask, handler = answers
    with pytest.raises(NotSent, match="surrogate") as caught:
        ask(method, **fields)
    assert isinstance(caught.value, TiedlmError)
    assert caught.value.param == param
    str(caught.value).encode()
    assert handler.requests == []


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float32("nan")])
@pytest.mark.parametrize(
    ("method", "fields", "param"),
    [
        ("rescore", lambda x: {"hypotheses": ["a"], "lm_weight": x}, "lm_weight"),
        ("rescore", lambda x: {"hypotheses": [{"text": "a", "score": x}]}, "hypotheses.0.score"),
        ("score", lambda x: {"text": "a", "targets": [[{"b": x}]]}, "targets.0.0.b"),
        ("next_token", lambda x: {"temperature": x}, "temperature"),
    ],
)
def test_what_json_has_no_number_for_is_not_sent(
    answers: tuple[SyncOrAsyncClient, CannedResponses],
    method: str,
    fields: Any,
    param: str,
    number: float,
) -> None:
    ask, handler = answers
    with pytest.raises(NotSent, match="JSON") as caught:
        ask(method, **fields(number))
    assert caught.value.param == param
    assert handler.requests == []


def test_what_no_json_can_hold_is_not_sent(
    answers: tuple[SyncOrAsyncClient, CannedResponses],
) -> None:
    ask, _ = answers
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    circle: dict[str, Any] = {}
    circle["self"] = circle
    for given in (deep, circle):
        with pytest.raises(NotSent, match="nested too deeply"):
            ask("rescore", [{"text": "a", "score": given}])
    with pytest.raises(NotSent, match="too long") as caught:
        ask("next_token", top_k=10**5000)
    assert caught.value.param == "top_k"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    "address",
    [
        *("", "/below", "localhost:8000", "ftp://a", "http://", "http://[::1", "http://\ud800/"),
        *("http://a:pass-word@b:c", f"http://{'a' * 64}.com", "http://xn--a/", "http://a\n/"),
    ],
)
def test_what_is_no_address_is_refused_unquoted(
    kind: type[Client] | type[AsyncClient], address: str
) -> None:
    with pytest.raises(NotSent, match="base_url") as caught:
        kind(address)
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("key", ["secret\n", "secret\ud800", "sécret", "secret\x7f"])
def test_a_key_that_no_header_holds_is_refused_unquoted(
    kind: type[Client] | type[AsyncClient], key: str
) -> None:
    with pytest.raises(
        NotSent, match="api_key holds a character that is not printable ASCII"
    ) as caught:
        kind(api_key=key)
    assert "cret" not in str(caught.value)
    with pytest.raises(TypeError, match="api_key is a bytes: give a str"):
        kind(api_key=key.encode("utf-8", "replace"))  # type: ignore[arg-type]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_answer_names_the_address_without_secrets(asynchronous: bool) -> None:
    answers = CannedResponses(httpx.ConnectError("[Errno 111] Connection refused"))
    ask = SyncOrAsyncClient(asynchronous, SECRETS, answers, api_key="sk-hidden")
    with pytest.raises(ConnectionFailed) as caught:
        ask("score", "a")
    assert caught.value.message == (
        "no answer from http://127.0.0.1:1/below/score: "
        "ConnectError: [Errno 111] Connection refused"
    )
    for secret in ("somebody", "pass-word", "hidden"):
        assert secret not in str(caught.value)
