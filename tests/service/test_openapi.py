"""What the routes answer is what the response models and the OpenAPI document say they answer."""

from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from service.http.schemas.native import NextTokenResponse, ScoreResponse
from service.http.schemas.operations import Health, Info
from tests.service.wire import Json, Wire, strict_json

TEXT = "The city of Zxqvyk,\non the river"
SCORES: list[Json] = [
    {"text": TEXT},
    {"texts": ["", TEXT], "top": 3, "unit": "bits", "return_state": True},
    {"text": "city", "bos": False, "eos": False, "top": 2},
    {"token_ids": [[], [2, 3]], "tokens": False},
    {"token_ids": [[2, 3]], "context": TEXT},
]
NEXT_TOKENS: list[Json] = [
    {},
    {"context": TEXT, "candidates": ["the", "Zxqvyk"], "exclude_special": True},
    {"context": TEXT, "prefix": "th", "top_k": 3, "return_state": True},
    {"prefix": "qqqq", "candidates": ["the"]},
]
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


@pytest.fixture(scope="module")
def document(wire: Wire) -> Json:
    return dict(wire.http.get("/openapi.json").json())


def check(document: Json, schema: Json, value: object, at: str = "body") -> None:
    """The part of JSON Schema that the document uses; a field that it does not list is an error."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        failures = []
        for choice in schema["anyOf"]:
            try:
                return check(document, choice, value, at)
            except AssertionError as error:
                failures.append(str(error))
        raise AssertionError("; ".join(failures))
    if "type" in schema:
        assert isinstance(value, TYPES[schema["type"]]), f"{at} is no {schema['type']}"
        assert schema["type"] == "boolean" or not isinstance(value, bool), f"{at} is a boolean"
    if "enum" in schema:
        assert value in schema["enum"], at
    if isinstance(value, list):
        for index, item in enumerate(value):
            check(document, schema["items"], item, f"{at}.{index}")
    if isinstance(value, dict):
        fields = schema.get("properties", {})
        assert set(schema.get("required", [])) <= set(value), f"{at} lacks a field"
        for name, item in value.items():
            extra = schema.get("additionalProperties", False) if name not in fields else {}
            assert extra is not False, f"{at}.{name} is not documented"
            check(document, fields.get(name, extra if extra is not True else {}), item, name)
    return None


def check_response(document: Json, method: str, response: httpx.Response) -> None:
    documented = document["paths"][response.url.path][method]["responses"]
    described = documented.get(str(response.status_code), documented.get("4XX"))
    schema = described["content"]["application/json"]["schema"]
    check(document, schema, strict_json(response.content))


def check_model(model: type[BaseModel], response: httpx.Response) -> None:
    """Valid without any conversion, and nothing lost on the way back."""
    content = strict_json(response.content)
    parsed = model.model_validate(content, strict=True)
    assert parsed.model_dump(exclude_unset=True) == content


@pytest.mark.parametrize("fields", SCORES)
def test_score_answers_as_documented(wire: Wire, document: Json, fields: Json) -> None:
    response = wire.post("/score", **fields)
    check_model(ScoreResponse, response)
    check_response(document, "post", response)


@pytest.mark.parametrize("fields", NEXT_TOKENS)
def test_next_token_answers_as_documented(wire: Wire, document: Json, fields: Json) -> None:
    response = wire.post("/next-token", **fields)
    check_model(NextTokenResponse, response)
    check_response(document, "post", response)


@pytest.mark.parametrize(
    ("route", "kind"), [("/health/live", Health), ("/health/ready", Health), ("/info", Info)]
)
def test_operations_answer_as_documented(
    wire: Wire, document: Json, route: str, kind: type[BaseModel]
) -> None:
    response = wire.http.get(route)
    check_model(kind, response)
    check_response(document, "get", response)


@pytest.mark.parametrize("route", ["/score", "/next-token"])
@pytest.mark.parametrize("fields", [{"nonsense": 1}, {"token_ids": [-1]}])
def test_refusals_answer_as_documented(
    wire: Wire, document: Json, route: str, fields: dict[str, Any]
) -> None:
    response = wire.post(route, **fields)
    assert response.status_code == 422
    check_response(document, "post", response)


@pytest.mark.parametrize("route", ["/score", "/next-token"])
def test_requests_that_are_documented_are_described(document: Json, route: str) -> None:
    body = document["paths"][route]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    assert schema["additionalProperties"] is False
    undescribed = [name for name, field in schema["properties"].items() if not field["description"]]
    assert undescribed == []
