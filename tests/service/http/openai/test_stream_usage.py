"""`stream_options.include_usage`: the usage in the events of a stream."""

import json
from typing import Any

import pytest

from tests.support.api_client import ApiClient, Json, error_json, ok_json

BODY: Json = {"model": "tiedlm", "prompt": ["The old river", "In"], "max_tokens": 7, "seed": 3}


def events(api: ApiClient, **fields: Any) -> list[Json]:
    """Return the events of a stream before `[DONE]`."""
    response = api.post("/v1/completions", **BODY, stream=True, **fields)
    assert response.status_code == 200, response.text
    *sent, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in sent]


def test_last_event_has_usage(api: ApiClient) -> None:
    *others, last = events(api, n=2, stream_options={"include_usage": True})
    whole = ok_json(api.post("/v1/completions", **BODY, n=2))
    assert last["choices"] == []
    assert last["usage"] == whole["usage"]
    assert last["usage"]["prompt_tokens"] == 4
    assert last["usage"]["total_tokens"] == 4 + last["usage"]["completion_tokens"]
    assert [event["usage"] for event in others] == [None] * len(others)
    assert {last[key] for key in ("id", "created", "model", "object")} == {
        others[0][key] for key in ("id", "created", "model", "object")
    }


@pytest.mark.parametrize(
    "options", [None, {}, {"include_usage": False}, {"include_usage": None}, {"other": 1}]
)
def test_no_usage_by_default(api: ApiClient, options: Json | None) -> None:
    others = events(api, stream_options=options)
    assert all("usage" not in event and event["choices"] for event in others)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": False, "stream_options": {}}, "stream_options"),
        ({"stream": True, "stream_options": 1}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ],
)
def test_invalid_stream_options_are_named(api: ApiClient, fields: Json, param: str) -> None:
    refusal = error_json(api.post("/v1/completions", **BODY, **fields), 422, "invalid_request")
    assert refusal["param"] == param
