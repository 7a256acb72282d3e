"""Requests that cannot be sent are rejected before sending, and no secret is quoted."""

import math
from typing import Any

import httpx
import numpy as np
import pytest

from service.client import AsyncClient, Client, ConnectionFailed, NotSent, TiedlmError
from tests.service.client.conftest import MakeClient
from tests.support.sync_or_async_client import CannedResponses, SyncOrAsyncClient

HALF = "a\ud800"
SECRETS = "http://somebody:pass-word@127.0.0.1:1/below?token=hidden"


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
def test_lone_surrogate_is_not_sent(
    rejecting: tuple[SyncOrAsyncClient, CannedResponses],
    method: str,
    fields: dict[str, Any],
    param: str,
) -> None:
    client, handler = rejecting
    with pytest.raises(NotSent, match="surrogate") as caught:
        client(method, **fields)
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
def test_nan_and_infinity_are_not_sent(
    rejecting: tuple[SyncOrAsyncClient, CannedResponses],
    method: str,
    fields: Any,
    param: str,
    number: float,
) -> None:
    client, handler = rejecting
    with pytest.raises(NotSent, match="JSON") as caught:
        client(method, **fields(number))
    assert caught.value.param == param
    assert handler.requests == []


def test_unrepresentable_values_are_not_sent(
    rejecting: tuple[SyncOrAsyncClient, CannedResponses],
) -> None:
    client, _ = rejecting
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    circle: dict[str, Any] = {}
    circle["self"] = circle
    for given in (deep, circle):
        with pytest.raises(NotSent, match="nested too deeply"):
            client("rescore", [{"text": "a", "score": given}])
    with pytest.raises(NotSent, match="too long") as caught:
        client("next_token", top_k=10**5000)
    assert caught.value.param == "top_k"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    "address",
    [
        *("", "/below", "localhost:8000", "ftp://a", "http://", "http://[::1", "http://\ud800/"),
        *("http://a:pass-word@b:c", f"http://{'a' * 64}.com", "http://xn--a/", "http://a\n/"),
    ],
)
def test_invalid_address_is_not_quoted(
    kind: type[Client] | type[AsyncClient], address: str
) -> None:
    with pytest.raises(NotSent, match="base_url") as caught:
        kind(address)
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("key", ["secret\n", "secret\ud800", "sécret", "secret\x7f"])
def test_invalid_key_is_not_quoted(kind: type[Client] | type[AsyncClient], key: str) -> None:
    with pytest.raises(
        NotSent, match="api_key contains a character that is not printable ASCII"
    ) as caught:
        kind(api_key=key)
    assert "cret" not in str(caught.value)
    with pytest.raises(TypeError, match="api_key is a bytes: pass a str"):
        kind(api_key=key.encode("utf-8", "replace"))  # type: ignore[arg-type]


def test_connection_error_contains_no_secret(make_client: MakeClient) -> None:
    handler = CannedResponses(httpx.ConnectError("[Errno 111] Connection refused"))
    client = make_client(handler, url=SECRETS, api_key="sk-hidden")
    with pytest.raises(ConnectionFailed) as caught:
        client("score", "a")
    assert caught.value.message == (
        "no response from http://127.0.0.1:1/below/score: "
        "ConnectError: [Errno 111] Connection refused"
    )
    for secret in ("somebody", "pass-word", "hidden"):
        assert secret not in str(caught.value)
