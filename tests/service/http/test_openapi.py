"""The OpenAPI document: its golden copy, a description and an example of every field, and routes
that respond as it and the response models document.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from service.http.native.next_token_schemas import NextTokenResponse
from service.http.native.rescore_schemas import RescoreResponse
from service.http.native.score_response_schemas import ScoreResponse
from service.http.openai.response_schemas import (
    CompletionResponse,
    DetokenizeResponse,
    ModelEntry,
    ModelList,
    TokenizeResponse,
    TokenizerInfo,
)
from service.http.operations.schemas import Health, Info
from tests.programs.renew_openapi import GOLDEN
from tests.support.api_client import ApiClient, Json, strict_json

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
RESCORES: list[Json] = [
    {"hypotheses": [{"text": TEXT}]},
    {"hypotheses": [{"text": "", "id": "a", "score": -2.5}, {"text": TEXT}], "context": "The"},
]
COMPLETIONS: list[Json] = [
    {"prompt": TEXT},
    {"prompt": [TEXT, ""], "n": 2, "best_of": 3, "stop": ["a", "e"], "seed": 4},
    {"prompt": [[], [2, 3]], "echo": True, "logprobs": 2, "max_tokens": 0, "prompt_logprobs": 2},
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
def document(api: ApiClient) -> Json:
    return dict(api.http.get("/openapi.json").json())


def check(document: Json, schema: Json, value: object, at: str = "body") -> None:
    """Check a value against the part of JSON Schema that the document uses. An unlisted field is an
    error.
    """
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
    if not schema:  # an empty schema allows anything
        return None
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
    """Check that a response is valid without conversion and survives a round trip."""
    content = strict_json(response.content)
    parsed = model.model_validate(content, strict=True)
    assert parsed.model_dump(exclude_unset=True) == content


@pytest.mark.parametrize("fields", SCORES)
def test_score_responds_as_documented(api: ApiClient, document: Json, fields: Json) -> None:
    response = api.post("/score", **fields)
    check_model(ScoreResponse, response)
    check_response(document, "post", response)


@pytest.mark.parametrize("fields", NEXT_TOKENS)
def test_next_token_responds_as_documented(api: ApiClient, document: Json, fields: Json) -> None:
    response = api.post("/next-token", **fields)
    check_model(NextTokenResponse, response)
    check_response(document, "post", response)


@pytest.mark.parametrize(
    ("route", "kind"), [("/health/live", Health), ("/health/ready", Health), ("/info", Info)]
)
def test_operations_respond_as_documented(
    api: ApiClient, document: Json, route: str, kind: type[BaseModel]
) -> None:
    response = api.http.get(route)
    check_model(kind, response)
    check_response(document, "get", response)


@pytest.mark.parametrize("route", ["/score", "/next-token"])
@pytest.mark.parametrize("fields", [{"nonsense": 1}, {"token_ids": [-1]}])
def test_errors_are_as_documented(
    api: ApiClient, document: Json, route: str, fields: dict[str, Any]
) -> None:
    response = api.post(route, **fields)
    assert response.status_code == 422
    check_response(document, "post", response)


@pytest.mark.parametrize("fields", RESCORES)
def test_rescore_responds_as_documented(api: ApiClient, document: Json, fields: Json) -> None:
    response = api.post("/rescore", **fields)
    check_model(RescoreResponse, response)
    check_response(document, "post", response)


@pytest.mark.parametrize("fields", COMPLETIONS)
def test_completions_respond_as_documented(api: ApiClient, document: Json, fields: Json) -> None:
    response = api.post("/v1/completions", model="tiedlm", **fields)
    check_model(CompletionResponse, response)
    check_response(document, "post", response)


@pytest.mark.parametrize(
    ("route", "fields", "kind"),
    [
        ("/tokenize", {"prompt": TEXT}, TokenizeResponse),
        ("/detokenize", {"tokens": [2, 3]}, DetokenizeResponse),
    ],
)
def test_tokenizing_responds_as_documented(
    api: ApiClient, document: Json, route: str, fields: Json, kind: type[BaseModel]
) -> None:
    response = api.post(route, **fields)
    check_model(kind, response)
    check_response(document, "post", response)


@pytest.mark.parametrize(
    ("route", "kind"), [("/v1/models", ModelList), ("/tokenizer_info", TokenizerInfo)]
)
def test_the_model_list_is_as_documented(
    api: ApiClient, document: Json, route: str, kind: type[BaseModel]
) -> None:
    response = api.http.get(route)
    check_model(kind, response)
    check_response(document, "get", response)


def test_a_model_entry_is_as_documented(api: ApiClient) -> None:
    check_model(ModelEntry, api.http.get("/v1/models/tiedlm"))


def fields_of(document: Json) -> Iterator[tuple[str, Json]]:
    for name, schema in document["components"]["schemas"].items():
        for field, described in schema["properties"].items():
            yield f"{name}.{field}", described
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                yield f"{path} {parameter['name']}", {**parameter, **parameter["schema"]}


def request_schema(document: Json, route: str) -> Json:
    body = document["paths"][route]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema: Json = document["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    return schema


def test_the_document_is_the_golden_copy(document: Json) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert document == golden, (
        "the wire changed; if so meant: python -m tests.programs.renew_openapi"
    )


def test_every_field_has_a_description_and_examples(document: Json) -> None:
    fields = dict(fields_of(document))
    assert len(fields) > 100
    assert [name for name, field in fields.items() if not field.get("description")] == []
    assert [name for name, field in fields.items() if not field.get("examples")] == []


def test_examples_are_valid_for_their_fields(document: Json) -> None:
    for name, field in fields_of(document):
        for example in field["examples"]:
            check(document, field, example, name)


@pytest.mark.parametrize("route", ["/score", "/next-token", "/rescore", "/v1/completions"])
def test_example_requests_can_be_sent(api: ApiClient, document: Json, route: str) -> None:
    for example in request_schema(document, route)["examples"]:
        assert api.post(route, **example).status_code == 200


@pytest.mark.parametrize("route", ["/score", "/next-token", "/rescore"])
def test_native_requests_forbid_other_fields(document: Json, route: str) -> None:
    assert request_schema(document, route)["additionalProperties"] is False


def test_every_operation_documents_its_errors(document: Json) -> None:
    envelope = {"$ref": "#/components/schemas/ErrorEnvelope"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            responses = operation["responses"]
            errors = {status for status in responses if status != "200"}
            needed = {"408", "413", "500", "503"}
            needed |= {"400", "415", "422"} if "requestBody" in operation else set()
            assert errors >= needed, path
            for status in errors:
                assert responses[status]["content"]["application/json"]["schema"] == envelope
    assert "HTTPValidationError" not in document["components"]["schemas"]
