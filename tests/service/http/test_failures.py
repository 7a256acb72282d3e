"""Failures of the service, and data that no error may contain."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.errors import DeadlineExceeded, NotReady, Overloaded, ServiceError
from service.language_model import LanguageModel
from tests.support.api_client import ApiClient, error_json

SECRET = "Xylophone7"
LONE = "a \ud800 b"


@pytest.fixture(autouse=True)
def _still_answers(api: ApiClient) -> Iterator[None]:
    """The next request is served, whatever was sent."""
    before = api.score(text="The city")
    yield
    assert api.score(text="The city") == before


@pytest.mark.parametrize(
    ("route", "fields"),
    [
        ("/score", {"text": LONE}),
        ("/score", {"texts": ["a", LONE]}),
        ("/score", {"text": "a", "context": LONE}),
        ("/score", {"text": "a", "contexts": [LONE]}),
        ("/score", {"text": "a", LONE: 1}),
        ("/score", {"text": "a", "unit": LONE}),
        ("/next-token", {"context": LONE}),
        ("/next-token", {"prefix": LONE}),
        ("/next-token", {"candidates": [LONE]}),
    ],
)
def test_a_lone_surrogate_is_rejected(api: ApiClient, route: str, fields: dict[str, Any]) -> None:
    refusal = error_json(api.post(route, **fields), 422, "invalid_request")
    assert "ud800" not in refusal["message"]


@pytest.mark.parametrize(
    ("route", "content"),
    [
        ("/score", {"text": [SECRET]}),
        ("/score", {"text": SECRET, "unit": SECRET}),
        ("/score", {"texts": [SECRET] * 5000}),
        ("/score", {"text": SECRET, "token_ids": [[1]]}),
        ("/score", {"text": f"{SECRET} " * 200_001}),
        ("/score", {"text": f"{SECRET} \ud800"}),
        ("/next-token", {"candidates": [f"{SECRET} {SECRET}"]}),
        ("/next-token", {"top_k": SECRET}),
        ("/score", '{"text": "' + SECRET),
    ],
)
def test_no_message_quotes_the_request(api: ApiClient, route: str, content: object) -> None:
    body = content if isinstance(content, str) else json.dumps(content)
    response = api.send(route, body.encode())
    assert 400 <= response.status_code < 500
    assert SECRET not in response.text


@pytest.mark.parametrize(
    ("raised", "status", "retry_after"),
    [
        (Overloaded("the queue is full", 7), 429, "7"),
        (NotReady("not warm yet"), 503, "1"),
        (DeadlineExceeded("no worker was free"), 504, None),
    ],
)
def test_each_error_has_its_status_and_headers(
    api: ApiClient,
    model: LanguageModel,
    monkeypatch: pytest.MonkeyPatch,
    raised: ServiceError,
    status: int,
    retry_after: str | None,
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(model, "score", refuse)
    response = api.post("/score", text="a")
    assert error_json(response, status, raised.code)["message"] == raised.message
    assert response.headers.get("Retry-After") == retry_after
    monkeypatch.undo()


@pytest.mark.parametrize("part", ["encode", "decode"])
def test_a_failing_engine_is_an_internal_error(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(f"{SECRET} in /srv/service/inference/engine.py")

    monkeypatch.setattr(model._engine, part, fail)
    response = api.post("/score", text="a")
    refusal = error_json(response, 500, "internal")
    assert refusal["type"] == "server_error"
    assert SECRET not in response.text
    monkeypatch.undo()
