"""Responses of an overloaded service."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.bundle import Bundle
from service.language_model import LanguageModel
from service.limits import WaitLimits
from service.settings import Settings
from service.text.tokenizer import Tokenizer
from tests.support.api_client import ApiClient, error_json
from tests.support.http_server import serve

ROUTES: list[tuple[str, dict[str, Any]]] = [
    ("/score", {"text": "The city"}),
    ("/score", {"texts": ["The city"] * 3, "context": "In"}),
    ("/next-token", {"context": "The city"}),
    ("/rescore", {"hypotheses": [{"text": "The city"}]}),
    ("/v1/completions", {"model": "tiedlm", "prompt": "The city"}),
    ("/v1/completions", {"model": "tiedlm", "prompt": "The city", "stream": True}),
    (
        "/v1/completions",
        {"model": "tiedlm", "prompt": "The city", "echo": True, "logprobs": 1, "max_tokens": 0},
    ),
]


@pytest.fixture
def _overloaded(model: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a limit that even an empty queue exceeds."""
    monkeypatch.setattr(model.admission, "_wait_limits", WaitLimits(-1.0, -1.0))


@pytest.mark.usefixtures("_overloaded")
@pytest.mark.parametrize(("route", "fields"), ROUTES)
def test_an_overload_has_retry_after(api: ApiClient, route: str, fields: dict[str, Any]) -> None:
    response = api.post(route, **fields)
    assert error_json(response, 429, "overloaded")["type"] == "rate_limit_error"
    assert response.headers["Retry-After"] == "1"


@pytest.mark.usefixtures("_overloaded")
def test_a_rejected_request_is_not_read(api: ApiClient) -> None:
    error_json(api.send("/score", b'{"text": '), 429, "overloaded")


@pytest.mark.usefixtures("_overloaded")
def test_routes_without_the_model_are_served(api: ApiClient) -> None:
    for route in ("/health/live", "/health/ready", "/metrics", "/info", "/v1/models"):
        assert api.http.get(route).status_code == 200
    assert api.post("/tokenize", prompt="The city").status_code == 200


@pytest.mark.parametrize(("route", "fields"), ROUTES)
def test_an_idle_server_accepts_every_request(
    api: ApiClient, route: str, fields: dict[str, Any]
) -> None:
    assert api.post(route, **fields).status_code == 200


@pytest.mark.parametrize(("callers", "status"), [(0, 200), (7, 200), (8, 429)])
def test_a_late_event_loop_rejects_only_under_load(
    api: ApiClient,
    model: LanguageModel,
    monkeypatch: pytest.MonkeyPatch,
    callers: int,
    status: int,
) -> None:
    """A machine that was paused for a moment is late too, but not loaded."""
    monkeypatch.setattr("service.inference.admission.LOOP_WAITS", 1e9)
    monkeypatch.setattr(model.admission, "requests", callers)
    assert api.post("/score", text="The city").status_code == status


def test_a_started_completion_is_never_rejected(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens are queued one after another, but it was admitted as a whole."""
    asked = {"model": "tiedlm", "prompt": "The city", "stream": True, "max_tokens": 60, "seed": 3}
    whole = [event["choices"][0]["text"] for event in events(api.post("/v1/completions", **asked))]
    with api.http.stream("POST", "/v1/completions", json=asked) as response:
        lines = response.iter_lines()
        first = next(lines)
        monkeypatch.setattr(model.admission, "_wait_limits", WaitLimits(-1.0, -1.0))
        said = [first, *lines]
    found = [json.loads(line[6:]) for line in said if line.startswith("data: {")]
    assert [event["choices"][0]["text"] for event in found] == whole
    assert said[-2:] == ["data: [DONE]", ""] or said[-1] == "data: [DONE]"


def test_many_choices_are_one_request(api: ApiClient) -> None:
    """All choices are queued at once, and none is rejected because of the others."""
    prompts = ["The city of the north"] * 200
    response = api.post("/v1/completions", model="tiedlm", prompt=prompts, max_tokens=3)
    assert response.status_code == 200
    assert len(response.json()["choices"]) == 200


def events(response: Any) -> list[Any]:
    lines = response.text.splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]


def test_many_clients_wait_and_are_served(bundle_path: Path) -> None:
    """With the default limits. Each of 48 clients sends two texts of a hundred words."""
    settings = Settings(bundle=bundle_path, threads=1)  # of 48 requests 16 stand in line
    model = LanguageModel(Bundle.load(bundle_path), settings)
    body = {"texts": ["the river was in the north of the city of " * 10] * 2, "tokens": False}

    def ask(client: httpx.Client) -> int:
        return client.post("/score", json=body).status_code

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    with (
        serve(model, "on") as (host, port),
        httpx.Client(
            base_url=f"http://{host}:{port}", timeout=120, trust_env=False, limits=limits
        ) as client,
        ThreadPoolExecutor(48) as pool,
    ):
        assert set(pool.map(ask, [client] * 96)) == {200}
    waited = model.metrics.registry.get_sample_value("tiedlm_admission_seconds_sum")
    assert waited is not None
    assert waited > 0


def test_bulk_waits_in_line_and_interactive_does_not(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    tokenize = Tokenizer.encode

    def held(self: Tokenizer, text: str, max_tokens: int) -> object:
        if text.startswith("held"):
            assert gate.wait(60)
        return tokenize(self, text, max_tokens)

    monkeypatch.setattr(Tokenizer, "encode", held)
    # Long enough to be tokenized in the background thread, so that the event loop goes on.
    body = {"text": "held" + " the river" * 500, "tokens": False}
    running = model.admission._short._max_requests
    with ThreadPoolExecutor(running + 10) as pool:
        try:
            waiting = [pool.submit(api.post, "/score", **body) for _ in range(running + 10)]
            eventually(lambda: model.admission.waiting_tokens("bulk") > 0)
            assert api.post("/next-token", context="The city").status_code == 200
            assert not any(request.done() for request in waiting)
        finally:
            gate.set()
        assert {request.result().status_code for request in waiting} == {200}
    assert model.admission.waiting_tokens("bulk") == 0


def test_scoring_completions_wait_in_line(api: ApiClient, model: LanguageModel) -> None:
    """Evaluation tools request log-probabilities of prompts from many threads at once."""
    name = "tiedlm_admission_seconds_count"
    before = model.metrics.registry.get_sample_value(name) or 0
    asked = {"model": "tiedlm", "prompt": "The city", "echo": True, "logprobs": 1, "max_tokens": 0}
    assert api.post("/v1/completions", **asked).status_code == 200
    assert api.post("/v1/completions", model="tiedlm", prompt="The city").status_code == 200
    assert model.metrics.registry.get_sample_value(name) == before + 1
    assert model.admission.requests == 0


def test_a_scoring_and_generating_completion_is_bounded(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is interactive, but its prompts wait in the bulk queue."""
    monkeypatch.setattr(model.admission, "check", lambda *_: None)
    monkeypatch.setattr(model.admission, "_wait_limits", WaitLimits(60, -1.0))
    asked = {"model": "tiedlm", "echo": True, "logprobs": 1, "max_tokens": 2}
    asked["prompt"] = ["The city", "The river"]  # one alone would run at once
    error_json(api.post("/v1/completions", **asked), 429, "overloaded")


def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
