"""The `openai` package as a client of the service."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest
from openai import OpenAI

from service.settings import STARTER_BUNDLE
from tests.programs.benchmarks.servers import service

PROMPT = "The old river runs through Zxqvyk, and"


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as made:
        yield made


def scores(url: str, text: str) -> list[float]:
    """Return the log-probabilities of a text by the native route."""
    body = {"text": text, "eos": False}
    tokens = httpx.post(f"{url}/score", json=body, trust_env=False).json()["results"][0]["tokens"]
    return [token["logprob"] for token in tokens]


def test_wrong_key_raises_authentication_error(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("key-one-0123456789")
    with service(STARTER_BUNDLE, "--api-keys-file", str(keys)) as server:
        base = f"http://127.0.0.1:{server.port}/v1"
        with (
            OpenAI(base_url=base, api_key="key-wrong-9876543210", max_retries=0) as stranger,
            pytest.raises(openai.AuthenticationError) as caught,
        ):
            stranger.completions.create(model="tiedlm", prompt=PROMPT)
        assert caught.value.code == "unauthorized"
        assert caught.value.type == "authentication_error"
        with OpenAI(base_url=base, api_key="key-one-0123456789", max_retries=0) as client:
            assert client.models.list().data


@pytest.mark.parametrize("max_tokens", [0, 1])
def test_an_echoed_prompt_is_scored(client: OpenAI, url: str, max_tokens: int) -> None:
    answer = client.completions.create(
        model="tiedlm", prompt=PROMPT, max_tokens=max_tokens, echo=True, logprobs=2
    )
    (choice,) = answer.choices
    found = choice.logprobs
    assert found is not None
    expected = scores(url, PROMPT)
    assert found.token_logprobs[: len(expected)] == expected
    assert len(found.tokens) == len(expected) + max_tokens
    assert len(found.top_logprobs) == len(found.text_offset) == len(found.tokens)
    assert choice.text.startswith(PROMPT)
    for token, logprob, top in zip(
        found.tokens, found.token_logprobs, found.top_logprobs, strict=True
    ):
        assert top[token] == logprob


def test_scoring_probe_generates_one_token(client: OpenAI) -> None:
    """After most full stops <eos> is the most probable token."""
    prompts = ["It was closed .", "No one knew .", "The end ."]
    answer = client.completions.create(
        model="tiedlm", prompt=prompts, max_tokens=1, echo=True, logprobs=1, temperature=0
    )
    for prompt, choice in zip(prompts, answer.choices, strict=True):
        assert choice.logprobs is not None
        assert len(choice.logprobs.tokens) == len(prompt.split()) + 1
    assert "<eos>" in [choice.logprobs.tokens[-1] for choice in answer.choices if choice.logprobs]


def test_stream_equals_response(client: OpenAI) -> None:
    whole = client.completions.create(model="tiedlm", prompt=PROMPT, max_tokens=12, seed=3, n=2)
    texts = ["", ""]
    ends: list[str | None] = [None, None]
    for event in client.completions.create(
        model="tiedlm", prompt=PROMPT, max_tokens=12, seed=3, n=2, stream=True
    ):
        for choice in event.choices:
            texts[choice.index] += choice.text
            ends[choice.index] = choice.finish_reason or ends[choice.index]
    assert texts == [choice.text for choice in whole.choices]
    assert ends == [choice.finish_reason for choice in whole.choices]
    assert len(set(texts)) == 2


def test_a_stream_ends_with_its_usage_on_request(client: OpenAI) -> None:
    whole = client.completions.create(model="tiedlm", prompt=PROMPT, max_tokens=12, seed=3, n=2)
    *others, last = client.completions.create(
        model="tiedlm",
        prompt=PROMPT,
        max_tokens=12,
        seed=3,
        n=2,
        stream=True,
        stream_options={"include_usage": True},
    )
    assert last.choices == []
    assert last.usage is not None
    assert last.usage == whole.usage
    assert all(event.usage is None and event.choices for event in others)
    assert {event.id for event in [*others, last]} == {last.id}


def test_options_of_a_stream_alone_are_refused(client: OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        client.completions.create(
            model="tiedlm", prompt=PROMPT, stream_options={"include_usage": True}
        )
    assert raised.value.param == "stream_options"


def test_null_is_what_is_not_given(client: OpenAI) -> None:
    """The package types its parameters as `Optional[int] | Omit`."""
    fields = {
        "best_of": None,
        "echo": None,
        "frequency_penalty": None,
        "logit_bias": None,
        "logprobs": None,
        "n": None,
        "presence_penalty": None,
        "stop": None,
        "stream": None,
        "stream_options": None,
        "suffix": None,
        "top_p": None,
    }
    plain = client.completions.create(model="tiedlm", prompt=PROMPT, max_tokens=8, temperature=0)
    nulls = client.completions.create(
        model="tiedlm", prompt=PROMPT, max_tokens=8, temperature=0, extra_body=fields
    )
    assert nulls.choices == plain.choices
    assert nulls.usage == plain.usage
    defaults = client.completions.create(
        model="tiedlm", prompt=PROMPT, extra_body={"max_tokens": None, "temperature": None}
    )
    assert defaults.usage is not None
    assert defaults.usage.completion_tokens <= 16


def test_the_same_seed_gives_the_same_text(client: OpenAI) -> None:
    def text(seed: int) -> str:
        answer = client.completions.create(
            model="tiedlm", prompt=PROMPT, max_tokens=12, seed=seed, temperature=1
        )
        return str(answer.choices[0].text)

    assert text(5) == text(5)
    assert len({text(seed) for seed in range(5)}) > 1


def test_a_stop_text_ends_a_choice_before_it(client: OpenAI) -> None:
    def create(stop: str | None) -> tuple[str, str]:
        answer = client.completions.create(
            model="tiedlm", prompt=PROMPT, max_tokens=20, seed=1, stop=stop
        )
        return answer.choices[0].text, answer.choices[0].finish_reason

    whole, _ = create(None)
    stop = whole[len(whole) // 2 :][:3]
    assert create(stop) == (whole[: whole.index(stop)], "stop")


def test_n_choices_are_answered_for_each_prompt(client: OpenAI) -> None:
    answer = client.completions.create(
        model="tiedlm", prompt=[PROMPT, "In the"], n=3, max_tokens=4, seed=1
    )
    assert [choice.index for choice in answer.choices] == list(range(6))
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 24
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_model_is_listed_and_found(client: OpenAI) -> None:
    (model,) = client.models.list().data
    assert client.models.retrieve(model.id) == model
    assert client.models.retrieve("tiedlm").id == "tiedlm"


def test_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("gpt-4")
    assert raised.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="gpt-4", prompt=PROMPT)


def test_a_wrong_value_is_named(client: OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        client.completions.create(model="tiedlm", prompt=PROMPT, temperature=-1)
    assert raised.value.code == "invalid_request"
    assert raised.value.param == "temperature"
    assert raised.value.type == "invalid_request_error"
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        client.completions.create(model="tiedlm", prompt=[10**9])
    assert raised.value.code == "unknown_token"


def test_invalid_json_raises_bad_request(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.post(
            "/completions",
            cast_to=object,
            content=b"{",
            options={"headers": {"Content-Type": "application/json"}},
        )
    assert raised.value.code == "invalid_json"


def test_full_queue_raises_rate_limit_error() -> None:
    """Eight clients send 600 tokens each, and the queue has room for 700."""
    prompt = "the river " * 300
    with service(STARTER_BUNDLE, "--max-queue-tokens", "700", "--threads", "1") as server:
        base = f"http://127.0.0.1:{server.port}/v1"

        def call(client: OpenAI) -> str:
            answer = client.completions.create(
                model="tiedlm", prompt=prompt, max_tokens=0, echo=True, logprobs=0
            )
            return str(answer.choices[0].text)

        with OpenAI(base_url=base, api_key="none", max_retries=0) as impatient:
            with ThreadPoolExecutor(8) as pool:
                calls = [pool.submit(call, impatient) for _ in range(64)]
            errors = [found for made in calls if (found := made.exception()) is not None]
        assert errors
        for error in errors:
            assert isinstance(error, openai.RateLimitError)
            assert error.code == "overloaded"
            assert int(error.response.headers["Retry-After"]) >= 1
        patient = OpenAI(base_url=base, api_key="none", max_retries=20)
        with patient, ThreadPoolExecutor(8) as pool:
            assert set(pool.map(call, [patient] * 16)) == {prompt}
