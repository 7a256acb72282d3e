"""A request with many errors gets one error, because a list of all takes memory and time."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from service.http.native.next_token_schemas import NextTokenRequest
from service.http.native.rescore_schemas import RescoreRequest
from service.http.native.score_request_schemas import ScoreRequest
from service.http.openai.request_schemas import CompletionRequest, DetokenizeRequest

MANY = 5000
MOST = 8  # a prompt may be of four types; each of them reports an error

FIELDS = {f"field{number}": 1 for number in range(MANY)}
BODIES: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (ScoreRequest, {"texts": [1] * MANY}),
    (ScoreRequest, {"token_ids": [1] * MANY}),
    (ScoreRequest, {"token_ids": [[""] * MANY]}),
    (ScoreRequest, {"text": "a", "contexts": [1] * MANY}),
    (ScoreRequest, {"text": "a", "targets": [1] * MANY}),
    (ScoreRequest, {"text": "a", "targets": [[1] * MANY]}),
    (ScoreRequest, {"text": "a", "targets": [[dict.fromkeys(FIELDS, 2)]]}),
    (ScoreRequest, {"text": "a", "cache": FIELDS}),
    (ScoreRequest, {"text": "a", **FIELDS}),
    (NextTokenRequest, {"token_ids": [""] * MANY}),
    (NextTokenRequest, {"candidates": [1] * MANY}),
    (RescoreRequest, {"hypotheses": [{}] * MANY}),
    (RescoreRequest, {"hypotheses": [{"text": "a", **FIELDS}]}),
    (CompletionRequest, {"model": "m", "prompt": [*[{}] * MANY, 1.5]}),
    (CompletionRequest, {"model": "m", "prompt": [*[""] * MANY, 1.5]}),
    (CompletionRequest, {"model": "m", "prompt": [[""] * MANY] * 9}),
    (CompletionRequest, {"model": "m", "prompt": "a", "stop": [1] * MANY}),
    (DetokenizeRequest, {"tokens": [""] * MANY}),
]


@pytest.mark.parametrize(("kind", "body"), BODIES)
def test_only_the_first_of_many_errors_is_returned(
    kind: type[BaseModel], body: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(body)
    assert caught.value.error_count() <= MOST


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), True, "1", None, 10**400])
def test_an_invalid_probability_is_named_with_its_word(share: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        ScoreRequest.model_validate({"text": "a", "targets": [[{"river": share, "city": 0.5}]]})
    assert "'river'" in str(caught.value)


@pytest.mark.parametrize("field", ["seed", "max_tokens"])
def test_integers_have_a_limit(field: str) -> None:
    with pytest.raises(ValidationError):
        CompletionRequest.model_validate({"model": "m", "prompt": "a", field: 10**4000})
