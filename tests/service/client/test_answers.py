"""What the Python client makes of answers that are not the service's."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from service.client import (
    BadRequest,
    Retries,
    ServerError,
    TiedlmError,
    Unavailable,
)
from tests.support.api_client import ApiClient
from tests.support.sync_or_async_client import CannedResponses, SyncOrAsyncClient

URL = "http://tiedlm.test"
ONCE = Retries(count=0)
GOOD = {"prompt": "the river"}

Asking = Callable[..., SyncOrAsyncClient]


@pytest.fixture(params=[False, True], ids=["Client", "AsyncClient"])
def asking(request: pytest.FixtureRequest) -> Asking:
    def make(url: str = URL, handler: Any = None, **options: Any) -> SyncOrAsyncClient:
        return SyncOrAsyncClient(request.param, url, handler, **{"retries": ONCE, **options})

    return make


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
        json.dumps(GOOD).encode("utf-16"),
    ],
    ids=["lists", "objects", "errors", "a code", "digits", "NaN", "a surrogate", "UTF-16"],
)
def test_an_answer_that_no_parser_takes_is_an_error(
    asking: Asking, content: bytes, status: int
) -> None:
    kind = {404: BadRequest, 422: BadRequest, 503: Unavailable}.get(status, ServerError)
    with pytest.raises(TiedlmError) as caught:
        asking(handler=CannedResponses(httpx.Response(status, content=content)))("detokenize", [2])
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code) == (status, None)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "said",
    [
        {"message": 5, "code": ["a"], "param": {}},
        {"message": None, "code": None, "param": None},
        {"message": "", "code": 7, "param": 1e400},
        {"message": [["deep"]], "code": True, "param": False},
    ],
)
def test_an_error_of_another_shape_has_no_code(asking: Asking, said: dict[str, Any]) -> None:
    answer = httpx.Response(422, content=json.dumps({"error": said}).encode())
    with pytest.raises(BadRequest) as caught:
        asking(handler=CannedResponses(answer))("detokenize", [2])
    error = caught.value
    assert (error.code, error.param) == (None, None)
    assert error.message == "http://tiedlm.test/detokenize answered HTTP 422 without a message"


def test_what_an_error_says_can_be_printed(asking: Asking) -> None:
    said = {"message": "\ud800" + "x" * 10**6, "code": "\udfff", "param": "p" * 10**6}
    headers = {"X-Request-Id": "i" * 10**6}
    answer = httpx.Response(422, content=json.dumps({"error": said}).encode(), headers=headers)
    with pytest.raises(BadRequest) as caught:
        asking(handler=CannedResponses(answer))("detokenize", [2])
    assert len(str(caught.value).encode()) < 10_000
    assert (caught.value.code, caught.value.message[:2]) == ("?", "?x")


@pytest.mark.parametrize("content", [b"<html>", b"{}", b'{"status": "live"}', b""])
def test_a_page_is_no_service_that_is_ready(asking: Asking, content: bytes) -> None:
    ask = asking(handler=CannedResponses(httpx.Response(200, content=content)))
    if b"live" in content:
        assert ask("ready") is False
    else:
        with pytest.raises(ServerError):
            ask("ready")


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """To each value in JSON, of a list's items the first."""
    if path:
        yield path
    if isinstance(value, dict):
        for name, one in value.items():
            yield from paths(one, (*path, name))
    elif isinstance(value, list) and value:
        yield from paths(value[0], (*path, 0))


def put(answer: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(answer))
    place = copy
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return copy


def test_a_value_of_another_type_is_an_error(api: ApiClient) -> None:
    """Each value of real answers in turn, replaced by one that it cannot be."""
    texts = ["The old river", "ran"]
    asked: dict[str, tuple[dict[str, Any], Any]] = {
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
        "detokenize": ({"tokens": [2]}, GOOD),
        "info": ({}, api.http.get("/info").json()),
    }
    tried = 0
    for method, (fields, answer) in asked.items():
        ask = SyncOrAsyncClient(
            False, URL, CannedResponses(httpx.Response(200, json=answer)), retries=ONCE
        )
        ask(method, **fields)  # as it is, it is read
        for path in paths(answer):
            if path[:1] == ("training",) and len(path) > 1:
                continue  # of any type
            wrong = 5 if isinstance(put(answer, path, 0), list) else [[5]]
            spoilt = put(answer, path, {"a": [wrong]})
            if path == ("training",):
                spoilt = put(answer, path, [5])
            if path in (("versions",), ("parity",)):
                spoilt = put(answer, path, {"a": [5]})
            handler = CannedResponses(httpx.Response(200, json=spoilt))
            with pytest.raises(ServerError, match="is not the service's"):
                SyncOrAsyncClient(False, URL, handler, retries=ONCE)(method, **fields)
            tried += 1
    assert tried > 100


@pytest.mark.parametrize("number", ["1e+999", "1" + "0" * 400, "-1" + "0" * 400])
def test_a_number_beyond_a_double_is_an_error(asking: Asking, api: ApiClient, number: str) -> None:
    answer = json.dumps(put(api.score(text="a"), ("results", 0, "perplexity"), 1e300))
    content = answer.replace("1e+300", number).encode()
    with pytest.raises(ServerError, match="range of a double"):
        asking(handler=CannedResponses(httpx.Response(200, content=content)))("score", "a")
