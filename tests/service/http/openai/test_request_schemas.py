"""Request fields of the OpenAI-compatible routes: null stands for a missing field."""

from typing import Any

import pytest

from service.http.openai.request_schemas import CompletionRequest
from tests.support.api_client import ApiClient, Json, error_json, ok_json

GIVEN: Json = {"model": "tiedlm", "prompt": "The old river", "seed": 1}
OPTIONAL = sorted(
    name for name, field in CompletionRequest.model_fields.items() if not field.is_required()
)


def choices(api: ApiClient, **fields: Any) -> list[Json]:
    return list(ok_json(api.post("/v1/completions", **fields))["choices"])


def test_each_optional_field_may_be_null(api: ApiClient) -> None:
    assert len(OPTIONAL) > 12
    for name in OPTIONAL:
        expected = choices(api, **{key: value for key, value in GIVEN.items() if key != name})
        found = choices(api, **{**GIVEN, name: None})
        if name == "seed":  # without a seed each text is different
            assert len(found) == len(expected)
        else:
            assert found == expected, name


def test_all_optional_fields_may_be_null(api: ApiClient) -> None:
    nulls = dict.fromkeys([*OPTIONAL, "user", "logit_bias", "frequency_penalty"])
    assert choices(api, **{**nulls, **GIVEN}) == choices(api, **GIVEN)


@pytest.mark.parametrize("name", ["model", "prompt"])
def test_required_field_may_not_be_null(api: ApiClient, name: str) -> None:
    refusal = error_json(
        api.post("/v1/completions", **{**GIVEN, name: None}), 422, "invalid_request"
    )
    assert refusal["param"] == name


def test_null_keeps_default_of_special_tokens(api: ApiClient) -> None:
    default = ok_json(api.post("/tokenize", prompt="The"))
    assert ok_json(api.post("/tokenize", prompt="The", add_special_tokens=None)) == default
    assert ok_json(api.post("/tokenize", prompt="The", add_special_tokens=False)) != default


def test_openapi_document_allows_null(api: ApiClient) -> None:
    schemas = api.http.get("/openapi.json").json()["components"]["schemas"]
    fields = schemas["CompletionRequest"]["properties"]
    for name in OPTIONAL:
        field = fields[name]
        assert field.get("type") == "null" or {"type": "null"} in field["anyOf"], name
    assert {"type": "null"} not in fields["model"].get("anyOf", [])
