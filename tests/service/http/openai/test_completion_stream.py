"""`POST /v1/completions` as a stream: what fails in it is seen, and what it draws is counted."""

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
ASKED: Json = {"model": "tiedlm", "prompt": "The city", "stream": True, "max_tokens": 9}
BOUNDARY = "service.http.middleware"


def failing(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    """Every choice draws one token and then fails."""

    async def scripted(*_: object, **__: object) -> AsyncIterator[Step]:
        yield Step(12, -1.0, [], [])
        raise failure

    monkeypatch.setattr(LanguageModel, "generate", scripted)


def read(api: ApiClient, request_id: str, **fields: Any) -> tuple[list[str], bool]:
    """The data of a stream's events, and whether the stream broke."""
    headers = {**JSON_TYPE, "X-Request-Id": request_id}
    body = json.dumps({**ASKED, **fields})
    said: list[str] = []
    with api.http.stream("POST", "/v1/completions", content=body, headers=headers) as response:
        assert response.status_code == 200
        try:
            for line in response.iter_lines():
                said += [line.removeprefix("data: ")] if line else []
        except httpx.RemoteProtocolError:
            return said, True
    return said, False


def of_request(caplog: pytest.LogCaptureFixture, request_id: str) -> logging.LogRecord:
    """The request's line in the log, which is written after its answer."""
    end = time.monotonic() + 60
    while True:
        for record in list(caplog.records):
            if getattr(record, "request_id", None) == request_id:
                return record
        assert time.monotonic() < end, "no such line"
        time.sleep(0.01)


@pytest.mark.parametrize("n", [1, 3])
def test_a_stream_that_fails_inside_says_so_and_breaks_and_the_log_tells_which(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, n: int
) -> None:
    failing(monkeypatch, RuntimeError(SECRET))
    said, broke = read(api, f"failing-{n}", n=n)
    assert broke
    *events, last = [json.loads(data) for data in said]
    assert [event["choices"][0]["finish_reason"] for event in events] == [None] * len(events)
    assert last["error"]["code"] == "internal"
    assert SECRET not in str(said)
    logged = of_request(caplog, f"failing-{n}")
    assert (logged.name, logged.levelname) == (BOUNDARY, "ERROR")
    assert logged.exc_info is not None
    assert SECRET in str(logged.exc_info[1])


def test_a_stream_that_waited_too_long_says_so_is_counted_and_is_not_done(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rejected() -> float:
        code = {"code": "deadline_exceeded"}
        return model.metrics.registry.get_sample_value("tiedlm_rejected_total", code) or 0.0

    before = rejected()
    failure: ServiceError = DeadlineExceeded("no worker was free")
    failing(monkeypatch, failure)
    said, broke = read(api, "late", n=2)
    assert not broke
    assert json.loads(said[-1])["error"]["code"] == "deadline_exceeded"
    assert "[DONE]" not in said
    assert rejected() == before + 1


def test_an_answer_that_fails_inside_is_an_internal_error(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, RuntimeError(SECRET))
    response = api.post("/v1/completions", **{**ASKED, "stream": False, "n": 2})
    error_json(response, 500, "internal")
    failing(monkeypatch, DeadlineExceeded("no worker was free"))
    response = api.post("/v1/completions", **{**ASKED, "stream": False, "n": 2})
    error_json(response, 504, "deadline_exceeded")


@pytest.mark.parametrize("stream", [True, False])
def test_a_completion_whose_prompts_have_no_room_is_refused_before_it_begins(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """The queue had room when the request came, and none for its prompts."""
    monkeypatch.setattr(model.admission, "check", lambda *_: None)
    monkeypatch.setattr(model.admission, "_wait_limits", WaitLimits(-1.0, -1.0))
    prompts = ["The city", "The river"]
    response = api.post("/v1/completions", **{**ASKED, "stream": stream, "prompt": prompts})
    error_json(response, 429, "overloaded")
    assert response.headers["Retry-After"]


@pytest.mark.parametrize("stream", [True, False])
def test_what_was_read_and_drawn_is_counted(
    api: ApiClient, model: LanguageModel, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    def counted() -> float:
        route = {"route": "/v1/completions"}
        return model.metrics.registry.get_sample_value("tiedlm_tokens_total", route) or 0.0

    caplog.set_level(logging.INFO, BOUNDARY)
    before, request_id = counted(), f"counted-{stream}"
    fields: Json = {**ASKED, "stream": stream, "n": 3, "seed": 1, "logprobs": 0}
    headers = {**JSON_TYPE, "X-Request-Id": request_id}
    response = api.http.post("/v1/completions", content=json.dumps(fields), headers=headers)
    lines = [line.removeprefix("data: ") for line in response.text.splitlines()]
    bodies = [json.loads(line) for line in lines if line.startswith("{")]
    told = [choice for body in bodies for choice in body["choices"]]
    drawn = sum(len(choice["logprobs"]["tokens"]) for choice in told)
    assert drawn > 9
    assert counted() - before == 2 + drawn
    assert vars(of_request(caplog, request_id))["tokens"] == 2 + drawn
