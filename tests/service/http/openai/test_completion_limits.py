"""Limits over the prompts and choices of `/v1/completions`, and the work that choices share."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.http.openai import completion, completion_serializer
from service.http.openai.choice import Choice, ChoiceGenerator
from service.http.openai.choice_serializer import ChoiceSerializer
from service.language_model import LanguageModel
from tests.support.api_client import ApiClient, Json, error_json, ok_json
from tests.support.completions import complete, thread_names
from tests.support.http_server import http_client_for

RANDOM = random.Random(5)
ECHO: Json = {"echo": True, "max_tokens": 0}
Serializer = tuple[object, str]
ECHOED: Serializer = (completion_serializer, "serialize_echo")
CHOICE: Serializer = (ChoiceSerializer, "delta")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [[2] * 70_000] * 3}, "prompt"),
        ({"prompt": "a", "max_tokens": 200_000}, "max_tokens"),
        ({"prompt": [2] * 190_000, "max_tokens": 100, "n": 128}, "prompt"),
        ({"prompt": [2] * 1_600, "n": 128, **ECHO}, "prompt"),
        ({"prompt": [2] * 1_600, "n": 128, "logprobs": 1, **ECHO}, "prompt"),
        ({"prompt": [2] * 1_600, "n": 128, "max_tokens": 1, "prompt_logprobs": 1}, "prompt"),
        ({"prompt": "a", "n": 128, "max_tokens": 1_600}, "max_tokens"),
        ({"prompt": [2] * 1_000, "max_tokens": 9_901, "logprobs": 100}, "logprobs"),
        ({"prompt": [2] * 9_901, "logprobs": 100, **ECHO}, "logprobs"),
        ({"prompt": [2] * 80, "n": 128, "logprobs": 100, **ECHO}, "logprobs"),
        ({"prompt": [2] * 50_000, "prompt_logprobs": 20}, "prompt_logprobs"),
        ({"prompt": " " * 70_000, "n": 128, **ECHO}, "n"),
        ({"prompt": "x" * 70_000, "n": 128, **ECHO}, "n"),
        ({"prompt": [""] * 33, "n": 128, **ECHO}, "n"),
        ({"prompt": ["a"] * 33, "best_of": 128, "max_tokens": 1}, "best_of"),
    ],
)
def test_too_large_request_names_the_field(api: ApiClient, fields: Json, param: str) -> None:
    response = api.post("/v1/completions", model="tiedlm", **fields)
    refusal = error_json(response, 422, "input_too_long")
    assert refusal["param"] == param
    assert "at most" in refusal["message"]


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({"max_tokens": 10}, 90),
        ({"max_tokens": 10, "n": 4}, 60),
        ({"max_tokens": 10, "best_of": 5}, 50),
        ({"max_tokens": 10, "n": 4, "echo": True}, 15),
        ({"max_tokens": 10, "n": 2, "best_of": 4, "echo": True}, 30),
        ({"max_tokens": 10, "n": 4, "prompt_logprobs": 1}, 15),
        ({"n": 4, **ECHO}, 25),
        ({"n": 4, "logprobs": 0, **ECHO}, 25),
    ],
)
def test_repeated_prompt_counts_once_per_choice(
    model: LanguageModel, fields: Json, most: int
) -> None:
    with http_client_for(model, max_request_tokens=100) as http:
        api = ApiClient(http)
        for prompt in ([2] * most, [[2] * (most // 2), [2] * (most - most // 2)]):
            shared = dict(fields)
            if isinstance(prompt[0], list):
                shared["max_tokens"] //= 2  # for each of the two prompts
            ok_json(api.post("/v1/completions", model="tiedlm", prompt=prompt, **shared))
        more = api.post("/v1/completions", model="tiedlm", prompt=[2] * (most + 1), **fields)
        assert error_json(more, 422, "input_too_long")["param"] == "prompt"


def test_tokens_of_all_texts_count(api: ApiClient) -> None:
    refused = api.post("/v1/completions", model="tiedlm", prompt=["a " * 70_000] * 3)
    assert "at most" in error_json(refused, 422, "input_too_long")["message"]


def test_hidden_prompt_has_no_alternatives(api: ApiClient) -> None:
    """A prompt that the response does not contain has no alternatives."""
    fields: Json = {"prompt": [2] * 10_000, "max_tokens": 2, "logprobs": 100}
    assert len(complete(api, **fields)["choices"]) == 1
    refused = api.post("/v1/completions", model="tiedlm", echo=True, **fields)
    assert error_json(refused, 422, "input_too_long")["param"] == "logprobs"


@pytest.mark.parametrize(
    "fields", [{}, {"stream": True}, {"echo": True, "logprobs": 1}, {"prompt_logprobs": 1}]
)
def test_prompt_is_encoded_once(api: ApiClient, model: LanguageModel, fields: Json) -> None:
    ids = [RANDOM.randrange(2, 10_000) for _ in range(1_000)]  # in no cache

    def encoded_tokens() -> float:
        return model.metrics.registry.get_sample_value("tiedlm_batch_tokens_sum") or 0.0

    before = encoded_tokens()
    body: Json = {"prompt": [ids, ids], "n": 8, "max_tokens": 1, **fields}
    assert api.post("/v1/completions", model="tiedlm", **body).status_code == 200
    assert encoded_tokens() - before < 2_200  # both prompts once, even if they are scored


@pytest.mark.parametrize("stream", [False, True])
def test_concurrent_choices_are_limited(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """Unlimited choices would delay the tokens of all other requests."""
    active = peak = 0

    generate = ChoiceGenerator.generate

    async def counted(*given: Any) -> AsyncIterator[Choice]:
        nonlocal active, peak
        active += 1
        peak = max(peak, active)
        async for choice in generate(*given):
            yield choice
        active -= 1

    monkeypatch.setattr(ChoiceGenerator, "generate", counted)
    body: Json = {"prompt": ["He", "She"], "n": 128, "max_tokens": 2, "seed": 1, "stream": stream}
    assert api.post("/v1/completions", model="tiedlm", **body).status_code == 200
    assert 1 < peak <= completion.MAX_CONCURRENT_CHOICES


@pytest.mark.parametrize(
    ("fields", "serializer", "in_background"),
    [
        ({"prompt": [2] * 1_001, "logprobs": 1, **ECHO}, ECHOED, True),
        ({"prompt": [2] * 1_000, "logprobs": 1, **ECHO}, ECHOED, False),
        ({"prompt": [2] * 200, "max_tokens": 1, "prompt_logprobs": 10}, ECHOED, True),
        ({"prompt": "x" * 5_000, **ECHO}, ECHOED, True),
        ({"prompt": "x" * 4_000, **ECHO}, ECHOED, False),
        ({"prompt": "x" * 5_000, "stream": True, **ECHO}, ECHOED, True),
        ({"prompt": "He", "logprobs": 100, "n": 8, "max_tokens": 8}, CHOICE, True),
        ({"prompt": "x" * 9_000, "n": 128, **ECHO}, CHOICE, True),
        ({"prompt": "He", "logprobs": 1, "n": 8, "max_tokens": 8}, CHOICE, False),
    ],
)
def test_long_response_is_serialised_in_background(
    api: ApiClient,
    monkeypatch: pytest.MonkeyPatch,
    fields: Json,
    serializer: Serializer,
    in_background: bool,
) -> None:
    threads = thread_names(monkeypatch, *serializer)
    assert api.post("/v1/completions", model="tiedlm", seed=1, **fields).status_code == 200
    assert threads
    assert {thread.startswith("background") for thread in threads} == {in_background}


@pytest.mark.parametrize("prompt", [[2] * 999, [1, 2, 3], "He", "", ' \n é 👩‍👧 "\\'])
def test_echo_is_equal_in_all_choices(api: ApiClient, prompt: Any) -> None:
    fields: Json = {"logprobs": 3, "prompt_logprobs": 2, **ECHO}
    first, *others = complete(api, prompt=prompt, n=3, **fields)["choices"]
    (alone,) = complete(api, prompt=prompt, **fields)["choices"]
    assert first == alone
    assert others == [{**first, "index": 1}, {**first, "index": 2}]
