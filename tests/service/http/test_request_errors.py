"""Invalid requests: each gets an error envelope, and the service serves the next request."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.api_client import ApiClient, error_json

HUGE = 10**30


@pytest.fixture(autouse=True)
def _still_answers(api: ApiClient) -> Iterator[None]:
    """The next request is served, whatever was sent."""
    before = api.score(text="The city")
    yield
    assert api.score(text="The city") == before


@pytest.mark.parametrize("route", ["/score", "/next-token"])
@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"text=The",
        b'{"text": "a"} {}',
        b'{"text": "a",}',
        b"{'text': 'a'}",
        b'{"text": "\xff\xfe"}',
        b'{"text": "\xed\xa0\x80"}',
        '{"text": "a"}'.encode("utf-16"),
        '{"text": "a"}'.encode("utf-32-le"),
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"text":' * 100_000,
        b'{"top": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_body_other_than_utf8_json_is_invalid(api: ApiClient, route: str, content: bytes) -> None:
    assert error_json(api.send(route, content), 400, "invalid_json")["param"] is None


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b'"text"', b"1", b"true", b"NaN"])
def test_a_body_must_be_an_object(api: ApiClient, content: bytes) -> None:
    error_json(api.send("/score", content), 422, "invalid_request")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"text": 1}, "text"),
        ({"text": None, "texts": None}, None),
        ({"text": ["a"]}, "text"),
        ({"texts": "a"}, "texts"),
        ({"texts": []}, "texts"),
        ({"texts": ["a", None]}, "texts.1"),
        ({"token_ids": []}, "token_ids"),
        ({"token_ids": [1]}, "token_ids.0"),
        ({"token_ids": [[1, "1"]]}, "token_ids.0.1"),
        ({"token_ids": [[True]]}, "token_ids.0.0"),
        ({"token_ids": [[1.0]]}, "token_ids.0.0"),
        ({"text": "a", "context": 1}, "context"),
        ({"text": "a", "bos": 1}, "bos"),
        ({"text": "a", "bos": "true"}, "bos"),
        ({"text": "a", "eos": None}, "eos"),
        ({"text": "a", "unit": "nat"}, "unit"),
        ({"text": "a", "tokens": 0}, "tokens"),
        ({"text": "a", "top": "1"}, "top"),
        ({"text": "a", "top": True}, "top"),
        ({"text": "a", "top": -1}, "top"),
        ({"text": "a", "top": 101}, "top"),
        ({"text": "a", "top": HUGE}, "top"),
    ],
)
def test_wrong_values_for_score_are_named(
    api: ApiClient, fields: dict[str, Any], param: str | None
) -> None:
    assert error_json(api.post("/score", **fields), 422, "invalid_request")["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"top_k": -1}, "top_k"),
        ({"top_k": 10**9}, "top_k"),
        ({"top_k": HUGE}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"top_k": True}, "top_k"),
        ({"top_k": None}, "top_k"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"context": 1}, "context"),
        ({"token_ids": ["1"]}, "token_ids.0"),
        ({"token_ids": [[1]]}, "token_ids.0"),
        ({"candidates": "the"}, "candidates"),
        ({"candidates": ["a" * 1001]}, "candidates.0"),
        ({"prefix": 1}, "prefix"),
        ({"exclude_special": "no"}, "exclude_special"),
    ],
)
def test_wrong_values_for_next_token_are_named(
    api: ApiClient, fields: dict[str, Any], param: str
) -> None:
    assert error_json(api.post("/next-token", **fields), 422, "invalid_request")["param"] == param


@pytest.mark.parametrize(
    ("route", "fields", "param"),
    [
        ("/score", {"texts": [""] * 4097}, "texts"),
        ("/score", {"text": "a " * 200_000}, "text"),
        ("/score", {"texts": ["a " * 100_000] * 2, "tokens": False}, "texts"),
        ("/score", {"text": "a", "context": "a " * 200_000}, "context"),
        ("/score", {"text": "a", "context": "a " * 200_001}, "context"),
        ("/score", {"texts": ["a"] * 2, "contexts": ["a " * 120_000, "b " * 120_000]}, "contexts"),
        ("/score", {"text": "a " * 120_000, "context": "a " * 80_001}, "text"),
        ("/score", {"texts": ["a"], "contexts": ["a"] * 4097}, "contexts"),
        ("/score", {"token_ids": [[2] * 100_000, [2] * 100_000]}, "token_ids"),
        ("/score", {"token_ids": [[]] * 4097}, "token_ids"),
        ("/score", {"token_ids": [[2] * 200_001]}, "token_ids"),
        ("/score", {"text": "a", "targets": [[{}] * 200_001]}, "targets"),
        ("/score", {"text": "a", "targets": [[]] * 4097}, "targets"),
        ("/score", {"text": "a", "eos": False, "targets": [[{"a" * 200_001: 1.0}]]}, "targets.0.0"),
        ("/score", {"text": "a " * 9_900, "top": 100}, "top"),
        ("/next-token", {"context": "a " * 200_000}, "context"),
        ("/next-token", {"token_ids": [2] * 200_000}, "token_ids"),
        ("/next-token", {"token_ids": [2] * 200_001}, "token_ids"),
        ("/rescore", {"hypotheses": [{"text": ""}] * 4097}, "hypotheses"),
        ("/rescore", {"hypotheses": [{"text": "a " * 200_000}]}, "hypotheses"),
        ("/rescore", {"hypotheses": [{"text": "a"}], "context": "a " * 200_000}, "context"),
        ("/score", {"text": "a," * 4_000_000}, "text"),
        ("/score", {"texts": ["a," * 60_000] * 2}, "texts"),
        ("/score", {"text": "a" * 8_000_000}, "text"),
        ("/tokenize", {"prompt": "a," * 4_000_000}, "prompt"),
        ("/detokenize", {"tokens": [2] * 200_001}, "tokens"),
        ("/v1/completions", {"model": "tiedlm", "prompt": "a " * 200_000}, "prompt"),
        ("/v1/completions", {"model": "tiedlm", "prompt": [""] * 4097}, "prompt"),
        ("/v1/completions", {"model": "tiedlm", "prompt": [2] * 200_001}, "prompt"),
        ("/v1/completions", {"model": "tiedlm", "prompt": [[2] * 100_001] * 2}, "prompt"),
    ],
)
def test_requests_above_a_limit_are_rejected(
    api: ApiClient, route: str, fields: dict[str, Any], param: str
) -> None:
    refusal = error_json(api.post(route, **fields), 422, "input_too_long")
    assert refusal["param"] == param
    assert "at most" in refusal["message"]


def test_a_shared_context_counts_once(api: ApiClient) -> None:
    """It is read once. 4,096 copies of it would be 409,600 tokens."""
    context = "the river " * 50
    shared = {"texts": ["a"] * 4096, "context": context, "tokens": False}
    assert api.post("/score", **shared).status_code == 200
    contexts = [context] * 4096
    assert (
        api.post("/score", texts=["a"] * 4096, contexts=contexts, tokens=False).status_code == 200
    )
    before = "the river " * 10_000
    assert api.post("/score", text="a", context=before, top=100).status_code == 200
    different = ["the " * 100_000, "of " * 99_000]
    error_json(
        api.post("/score", texts=["a b " * 300] * 2, contexts=different), 422, "input_too_long"
    )


@pytest.mark.parametrize(
    ("route", "fields"),
    [
        ("/score", {}),
        ("/score", {"text": "a", "texts": ["a"]}),
        ("/score", {"text": "a", "token_ids": [[1]]}),
        ("/score", {"text": "a", "context": "b", "contexts": ["b"]}),
        ("/score", {"texts": ["a", "b"], "contexts": ["b"]}),
        ("/next-token", {"context": "a", "token_ids": [1]}),
    ],
)
def test_contradicting_fields_are_rejected(
    api: ApiClient, route: str, fields: dict[str, Any]
) -> None:
    error_json(api.post(route, **fields), 422, "invalid_request")


@pytest.mark.parametrize("field", ["calibrate", "Text", "text ", "contxt"])
@pytest.mark.parametrize("route", ["/score", "/next-token"])
def test_an_unknown_field_is_named(api: ApiClient, route: str, field: str) -> None:
    fields = {"text": "a"} if route == "/score" else {}
    refusal = error_json(api.post(route, **fields, **{field: None}), 422, "invalid_request")
    assert refusal["param"] == field


@pytest.mark.parametrize("token", [-1, 10**9, HUGE, -HUGE, 2**63])
def test_an_id_outside_the_vocabulary_is_named(api: ApiClient, token: int) -> None:
    refusal = error_json(api.post("/score", token_ids=[[1], [2, token]]), 422, "unknown_token")
    assert refusal["param"] == "token_ids.1.1"
    refusal = error_json(api.post("/next-token", token_ids=[1, token]), 422, "unknown_token")
    assert refusal["param"] == "token_ids.1"


def test_the_first_invalid_id_is_the_vocabulary_size(api: ApiClient) -> None:
    size = api.next_token(top_k=0)["vocabulary_size"]
    api.score(token_ids=[[size - 1]])
    error_json(api.post("/score", token_ids=[[size]]), 422, "unknown_token")
    error_json(api.post("/next-token", top_k=size + 1), 422, "invalid_request")
