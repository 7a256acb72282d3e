"""On OpenAI's routes null means "not given", as their clients send it."""

from typing import Any

import pytest

from service.http.openai.schemas import CompletionRequest
from tests.support.wire import Json, Wire, answer, error

GIVEN: Json = {"model": "tiedlm", "prompt": "The old river", "seed": 1}
OPTIONAL = sorted(
    name for name, field in CompletionRequest.model_fields.items() if not field.is_required()
)


def choices(wire: Wire, **fields: Any) -> list[Json]:
    return list(answer(wire.post("/v1/completions", **fields))["choices"])


def test_every_optional_field_may_be_null(wire: Wire) -> None:
    assert len(OPTIONAL) > 12
    for name in OPTIONAL:
        expected = choices(wire, **{key: value for key, value in GIVEN.items() if key != name})
        found = choices(wire, **{**GIVEN, name: None})
        if name == "seed":  # another text each time
            assert len(found) == len(expected)
        else:
            assert found == expected, name


def test_all_optional_fields_may_be_null_at_once(wire: Wire) -> None:
    nulls = dict.fromkeys([*OPTIONAL, "user", "logit_bias", "frequency_penalty"])
    assert choices(wire, **{**nulls, **GIVEN}) == choices(wire, **GIVEN)


@pytest.mark.parametrize("name", ["model", "prompt"])
def test_a_required_field_may_not_be_null(wire: Wire, name: str) -> None:
    refusal = error(wire.post("/v1/completions", **{**GIVEN, name: None}), 422, "invalid_request")
    assert refusal["param"] == name


def test_null_leaves_special_tokens_as_by_default(wire: Wire) -> None:
    default = answer(wire.post("/tokenize", prompt="The"))
    assert answer(wire.post("/tokenize", prompt="The", add_special_tokens=None)) == default
    assert answer(wire.post("/tokenize", prompt="The", add_special_tokens=False)) != default


def test_the_documentation_says_that_null_is_taken(wire: Wire) -> None:
    schemas = wire.http.get("/openapi.json").json()["components"]["schemas"]
    fields = schemas["CompletionRequest"]["properties"]
    for name in OPTIONAL:
        field = fields[name]
        assert field.get("type") == "null" or {"type": "null"} in field["anyOf"], name
    assert {"type": "null"} not in fields["model"].get("anyOf", [])
