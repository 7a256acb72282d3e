"""What a client sees when more is asked than can be done."""

import json
from typing import Any

import pytest

from service.language_model import LanguageModel
from tests.service.wire import Wire, error

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
    """Even an empty queue is too long a wait."""
    monkeypatch.setattr(model._runner._batcher, "_max_queue_seconds", -1.0)


@pytest.mark.usefixtures("_overloaded")
@pytest.mark.parametrize(("route", "fields"), ROUTES)
def test_work_is_refused_with_a_time_to_come_again(
    wire: Wire, route: str, fields: dict[str, Any]
) -> None:
    response = wire.post(route, **fields)
    assert error(response, 429, "overloaded")["type"] == "rate_limit_error"
    assert response.headers["Retry-After"] == "1"


@pytest.mark.usefixtures("_overloaded")
def test_a_refused_request_is_not_read(wire: Wire) -> None:
    error(wire.send("/score", b'{"text": '), 429, "overloaded")


@pytest.mark.usefixtures("_overloaded")
def test_what_needs_no_model_is_answered(wire: Wire) -> None:
    for route in ("/health/live", "/health/ready", "/metrics", "/info", "/v1/models"):
        assert wire.http.get(route).status_code == 200
    assert wire.post("/tokenize", prompt="The city").status_code == 200


@pytest.mark.parametrize(("route", "fields"), ROUTES)
def test_an_idle_server_takes_anything(wire: Wire, route: str, fields: dict[str, Any]) -> None:
    assert wire.post(route, **fields).status_code == 200


@pytest.mark.parametrize(("callers", "status"), [(0, 200), (7, 200), (8, 429)])
def test_an_event_loop_that_was_late_refuses_only_a_crowd(
    wire: Wire,
    model: LanguageModel,
    monkeypatch: pytest.MonkeyPatch,
    callers: int,
    status: int,
) -> None:
    """A machine that stood still for a moment is late with a request too, and is not loaded."""
    monkeypatch.setattr("service.http.boundary.LOOP_WAITS", 1e9)
    monkeypatch.setattr(model, "callers", callers)
    assert wire.post("/score", text="The city").status_code == status


def test_a_completion_that_has_begun_goes_on(
    wire: Wire, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens are asked for one after another, and it was admitted as a whole."""
    asked = {"model": "tiedlm", "prompt": "The city", "stream": True, "max_tokens": 60, "seed": 3}
    whole = [event["choices"][0]["text"] for event in events(wire.post("/v1/completions", **asked))]
    with wire.http.stream("POST", "/v1/completions", json=asked) as response:
        lines = response.iter_lines()
        first = next(lines)
        monkeypatch.setattr(model._runner._batcher, "_max_queue_seconds", -1.0)
        said = [first, *lines]
    found = [json.loads(line[6:]) for line in said if line.startswith("data: {")]
    assert [event["choices"][0]["text"] for event in found] == whole
    assert said[-2:] == ["data: [DONE]", ""] or said[-1] == "data: [DONE]"


def test_many_choices_are_one_request(wire: Wire) -> None:
    """All of them are asked for at once, and none of them is refused for the others' sake."""
    prompts = ["The city of the north"] * 200
    response = wire.post("/v1/completions", model="tiedlm", prompt=prompts, max_tokens=3)
    assert response.status_code == 200
    assert len(response.json()["choices"]) == 200


def events(response: Any) -> list[Any]:
    lines = response.text.splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
