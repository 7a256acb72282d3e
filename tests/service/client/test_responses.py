"""Responses that do not come from the service, or not in its format."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.client import BadRequest, Retries, ServerError, TiedlmError, Unavailable
from tests.service.client.conftest import URL, MakeClient
from tests.support.api_client import ApiClient
from tests.support.sync_or_async_client import CannedResponses, SyncOrAsyncClient

DETOKENIZED = {"prompt": "the river"}


@pytest.mark.parametrize("status", [200, 404, 422, 500, 503])
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 1_000_000,
        b'{"prompt":' * 500_000,
        b'{"error":' * 500_000 + b"1" + b"}" * 500_000,
        b'{"error":{"code":' + b"[" * 900 + b"]" * 900 + b"}}",
        b'{"prompt": ' + b"9" * 100_000 + b"}",
        b'{"prompt": NaN}',
        b'{"prompt": "\xed\xa0\x80"}',
        json.dumps(DETOKENIZED).encode("utf-16"),
    ],
    ids=["lists", "objects", "errors", "a code", "digits", "NaN", "a surrogate", "UTF-16"],
)
def test_unparsable_response_is_an_error(
    make_client: MakeClient, content: bytes, status: int
) -> None:
    kind = {404: BadRequest, 422: BadRequest, 503: Unavailable}.get(status, ServerError)
    client = make_client(CannedResponses(httpx.Response(status, content=content)))
    with pytest.raises(TiedlmError) as caught:
        client("detokenize", [2])
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code) == (status, None)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "envelope",
    [
        {"message": 5, "code": ["a"], "param": {}},
        {"message": None, "code": None, "param": None},
        {"message": "", "code": 7, "param": 1e400},
        {"message": [["deep"]], "code": True, "param": False},
    ],
)
def test_malformed_error_has_no_code(make_client: MakeClient, envelope: dict[str, Any]) -> None:
    response = httpx.Response(422, content=json.dumps({"error": envelope}).encode())
    with pytest.raises(BadRequest) as caught:
        make_client(CannedResponses(response))("detokenize", [2])
    error = caught.value
    assert (error.code, error.param) == (None, None)
    assert error.message == "http://tiedlm.test/detokenize returned HTTP 422 without a message"


def test_error_message_is_printable(make_client: MakeClient) -> None:
    envelope = {"message": "\ud800" + "x" * 10**6, "code": "\udfff", "param": "p" * 10**6}
    headers = {"X-Request-Id": "i" * 10**6}
    content = json.dumps({"error": envelope}).encode()
    response = httpx.Response(422, content=content, headers=headers)
    with pytest.raises(BadRequest) as caught:
        make_client(CannedResponses(response))("detokenize", [2])
    assert len(str(caught.value).encode()) < 10_000
    assert (caught.value.code, caught.value.message[:2]) == ("?", "?x")


@pytest.mark.parametrize("content", [b"<html>", b"{}", b'{"status": "live"}', b""])
def test_another_page_is_not_ready(make_client: MakeClient, content: bytes) -> None:
    client = make_client(CannedResponses(httpx.Response(200, content=content)))
    if b"live" in content:
        assert client("ready") is False
    else:
        with pytest.raises(ServerError):
            client("ready")


@pytest.mark.parametrize("status", [200, 302, 404, 502, 503])
@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"null", b"[]", b"{}", b'{"error": 1}', b"\xff", b'"prompt"']
)
def test_response_of_another_server_is_an_error(
    make_client: MakeClient, status: int, content: bytes
) -> None:
    client = make_client(CannedResponses(httpx.Response(status, content=content)))
    for method, args in (("detokenize", ([2],)), ("score", ("a",))):
        with pytest.raises(TiedlmError) as caught:
            client(method, *args)
        assert caught.value.status == status
        assert caught.value.code is None
        expected = {404: BadRequest, 503: Unavailable}.get(status, ServerError)
        assert type(caught.value) is expected


def test_fields_of_a_newer_service_are_ignored(make_client: MakeClient) -> None:
    token = {"id": 7, "text": "a", "probability": 0.5, "logprob": -0.7, "rank": 1, "new": {}}
    response = {
        "model": "m",
        "vocabulary_size": 9,
        "tokens": [token],
        "candidates": [],
        "entropy": None,
        "remaining_probability": 0.5,
        "new": [1],
    }
    result = make_client(CannedResponses(httpx.Response(200, json=response)))("next_token")
    assert [(token.id, token.rank) for token in result.tokens] == [(7, 1)]
    assert (result.candidates, result.entropy, result.state) == ((), None, None)


def value_paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value in JSON; of a list only the first item is visited."""
    if path:
        yield path
    if isinstance(value, dict):
        for name, item in value.items():
            yield from value_paths(item, (*path, name))
    elif isinstance(value, list) and value:
        yield from value_paths(value[0], (*path, 0))


def replace(response: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(response))
    parent = copy
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    return copy


def real_responses(api: ApiClient) -> dict[str, tuple[dict[str, Any], Any]]:
    """Return the arguments and a real response for each method."""
    texts = ["The old river", "ran"]
    return {
        "score": (
            {"texts": texts},
            api.score(texts=texts, details=True, top=2, top_g=3, return_state=True),
        ),
        "next_token": (
            {"context": "The"},
            api.next_token(context="The", candidates=["river"], prefix="r", return_state=True),
        ),
        "rescore": (
            {"hypotheses": texts},
            api.post("/rescore", hypotheses=[{"text": "a", "id": "b"}]).json(),
        ),
        "tokenize": ({"prompt": "a"}, api.post("/tokenize", prompt="a b").json()),
        "detokenize": ({"tokens": [2]}, DETOKENIZED),
        "info": ({}, api.http.get("/info").json()),
    }


def test_value_of_another_type_is_an_error(api: ApiClient) -> None:
    """Replace each value of real responses in turn by a value of a wrong type."""

    def client_for(response: Any) -> SyncOrAsyncClient:
        handler = CannedResponses(httpx.Response(200, json=response))
        return SyncOrAsyncClient(False, URL, handler, retries=Retries(count=0))

    tried = 0
    for method, (fields, response) in real_responses(api).items():
        client_for(response)(method, **fields)  # unchanged, it is decoded
        for path in value_paths(response):
            if path[:1] == ("training",) and len(path) > 1:
                continue  # may have any type
            wrong = 5 if isinstance(replace(response, path, 0), list) else [[5]]
            damaged = replace(response, path, {"a": [wrong]})
            if path == ("training",):
                damaged = replace(response, path, [5])
            if path in (("versions",), ("parity",)):
                damaged = replace(response, path, {"a": [5]})
            with pytest.raises(ServerError, match="has an unexpected format"):
                client_for(damaged)(method, **fields)
            tried += 1
    assert tried > 100


@pytest.mark.parametrize("number", ["1e+999", "1" + "0" * 400, "-1" + "0" * 400])
def test_number_beyond_a_double_is_an_error(
    make_client: MakeClient, api: ApiClient, number: str
) -> None:
    response = replace(api.score(text="a"), ("results", 0, "perplexity"), 1e300)
    content = json.dumps(response).replace("1e+300", number).encode()
    with pytest.raises(ServerError, match="range of a double"):
        make_client(CannedResponses(httpx.Response(200, content=content)))("score", "a")
