"""Completions: errors while they are generated, and the tokens that metrics and log count."""

import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from service.errors import DeadlineExceeded, ServiceError
from service.language_model import LanguageModel
from service.limits import WaitLimits
from service.results.sampling import Step
from tests.support.api_client import JSON_TYPE, ApiClient, Json, error_json

SECRET = "Xylophone7"
BODY: Json = {"model": "tiedlm", "prompt": "The city", "stream": True, "max_tokens": 9}
MIDDLEWARE = "service.http.middleware"


def fail_generation(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    """Make every choice fail after one token."""

    async def scripted(*_: object, **__: object) -> AsyncIterator[Step]:
        yield Step(12, -1.0, [], [])
        raise failure

    monkeypatch.setattr(LanguageModel, "generate", scripted)


def read_stream(api: ApiClient, request_id: str, **fields: Any) -> tuple[list[str], bool]:
    """Return the data of a stream's events, and True if the connection closed before its end."""
    headers = {**JSON_TYPE, "X-Request-Id": request_id}
    body = json.dumps({**BODY, **fields})
    data: list[str] = []
    with api.http.stream("POST", "/v1/completions", content=body, headers=headers) as response:
        assert response.status_code == 200
        try:
            for line in response.iter_lines():
                data += [line.removeprefix("data: ")] if line else []
        except httpx.RemoteProtocolError:
            return data, True
    return data, False


def log_record_of(caplog: pytest.LogCaptureFixture, request_id: str) -> logging.LogRecord:
    """Wait for the log record of a request, which is written after the response."""
    end = time.monotonic() + 60
    while True:
        for record in list(caplog.records):
            if getattr(record, "request_id", None) == request_id:
                return record
        assert time.monotonic() < end, "no such log record"
        time.sleep(0.01)


@pytest.mark.parametrize("n", [1, 3])
def test_unexpected_error_ends_stream_and_is_logged(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, n: int
) -> None:
    fail_generation(monkeypatch, RuntimeError(SECRET))
    data, closed_early = read_stream(api, f"failing-{n}", n=n)
    assert closed_early
    *events, last = [json.loads(event) for event in data]
    assert [event["choices"][0]["finish_reason"] for event in events] == [None] * len(events)
    assert last["error"]["code"] == "internal"
    assert SECRET not in str(data)
    logged = log_record_of(caplog, f"failing-{n}")
    assert (logged.name, logged.levelname) == (MIDDLEWARE, "ERROR")
    assert logged.exc_info is not None
    assert SECRET in str(logged.exc_info[1])


def test_deadline_error_ends_stream_and_is_counted(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rejected() -> float:
        code = {"code": "deadline_exceeded"}
        return model.metrics.registry.get_sample_value("tiedlm_rejected_total", code) or 0.0

    before = rejected()
    failure: ServiceError = DeadlineExceeded("no worker was free")
    fail_generation(monkeypatch, failure)
    data, closed_early = read_stream(api, "late", n=2)
    assert not closed_early
    assert json.loads(data[-1])["error"]["code"] == "deadline_exceeded"
    assert "[DONE]" not in data
    assert rejected() == before + 1


def test_error_while_generating_sets_status(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_generation(monkeypatch, RuntimeError(SECRET))
    response = api.post("/v1/completions", **{**BODY, "stream": False, "n": 2})
    error_json(response, 500, "internal")
    fail_generation(monkeypatch, DeadlineExceeded("no worker was free"))
    response = api.post("/v1/completions", **{**BODY, "stream": False, "n": 2})
    error_json(response, 504, "deadline_exceeded")


@pytest.mark.parametrize("stream", [True, False])
def test_full_queue_rejects_before_streaming(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """The queue has room when the request arrives, and none when its prompts are prefilled."""
    monkeypatch.setattr(model.admission, "check", lambda *_: None)
    monkeypatch.setattr(model.admission, "_wait_limits", WaitLimits(-1.0, -1.0))
    prompts = ["The city", "The river"]
    response = api.post("/v1/completions", **{**BODY, "stream": stream, "prompt": prompts})
    error_json(response, 429, "overloaded")
    assert response.headers["Retry-After"]


@pytest.mark.parametrize("stream", [True, False])
def test_metrics_and_log_count_tokens(
    api: ApiClient, model: LanguageModel, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    def counted() -> float:
        route = {"route": "/v1/completions"}
        return model.metrics.registry.get_sample_value("tiedlm_tokens_total", route) or 0.0

    caplog.set_level(logging.INFO, MIDDLEWARE)
    before, request_id = counted(), f"counted-{stream}"
    fields: Json = {**BODY, "stream": stream, "n": 3, "seed": 1, "logprobs": 0}
    headers = {**JSON_TYPE, "X-Request-Id": request_id}
    response = api.http.post("/v1/completions", content=json.dumps(fields), headers=headers)
    lines = [line.removeprefix("data: ") for line in response.text.splitlines()]
    bodies = [json.loads(line) for line in lines if line.startswith("{")]
    choices = [choice for body in bodies for choice in body["choices"]]
    generated = sum(len(choice["logprobs"]["tokens"]) for choice in choices)
    assert generated > 9
    assert counted() - before == 2 + generated
    assert vars(log_record_of(caplog, request_id))["tokens"] == 2 + generated
