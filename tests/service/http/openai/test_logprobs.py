"""Log-probabilities in completions, compared with `/score` and with the text."""

from itertools import pairwise
from typing import Any

import pytest

from service.language_model import LanguageModel
from tests.support.api_client import ApiClient, Json, error_json, ok_json
from tests.support.completions import only_choice

UNKNOWN, END = 0, 1
TEXTS = [
    "The old river runs through the city .",
    "It's Zxqvyk's bridge, (too); \"the longest\"!",
    "👩‍👩‍👧 came to see é and ที่ , 🎉 .",
    "A line .\nThe next line .\n",
    "a <unk> and an <eos> in it",
    "  two  spaces  ",
]


def echo(api: ApiClient, prompt: Any, **fields: Any) -> Json:
    """Return the choice of an echoed, scored prompt without generated tokens."""
    return only_choice(
        api, prompt=prompt, **{"max_tokens": 0, "echo": True, "logprobs": 3, **fields}
    )


def tokens_of(api: ApiClient, text: str) -> list[Json]:
    return list(api.score_one(text=text, eos=False, top=3, details=True)["tokens"])


@pytest.mark.parametrize("text", TEXTS)
def test_echo_equals_score(api: ApiClient, text: str) -> None:
    choice, tokens = echo(api, text), tokens_of(api, text)
    arrays = choice["logprobs"]
    assert choice["text"] == text
    assert arrays["tokens"] == [token["text"] for token in tokens]
    assert arrays["token_logprobs"] == [token["logprob"] for token in tokens]
    assert arrays["text_offset"] == [token["start"] for token in tokens]
    for top, token in zip(arrays["top_logprobs"], tokens, strict=True):
        expected = {other["text"]: other["logprob"] for other in token["top"]}
        assert top == expected | {token["text"]: token["logprob"]}


@pytest.mark.parametrize("text", TEXTS)
def test_offsets_split_echoed_text_into_tokens(api: ApiClient, text: str) -> None:
    """Known words are at their offsets, and everything but white space belongs to a token."""
    arrays = echo(api, text)["logprobs"]
    offsets = arrays["text_offset"]
    assert offsets == sorted(offsets)
    surfaces = [text[a:b] for a, b in pairwise([*offsets, len(text)])]
    assert text[: offsets[0]].strip() == ""
    for entry, surface in zip(arrays["tokens"], surfaces, strict=True):
        if entry == "<eos>":
            assert surface.rstrip(" ") in ("\n", "<eos>")
        elif entry != "<unk>":
            assert surface.strip() == entry


@pytest.mark.parametrize("text", TEXTS)
def test_offsets_split_decoded_ids(api: ApiClient, text: str) -> None:
    ids = [token["id"] for token in tokens_of(api, text)]
    choice = echo(api, [ids])
    offsets = choice["logprobs"]["text_offset"]
    assert choice["text"] == ok_json(api.post("/detokenize", tokens=ids))["prompt"]
    surfaces = [choice["text"][a:b] for a, b in pairwise([*offsets, len(choice["text"])])]
    for entry, surface in zip(choice["logprobs"]["tokens"], surfaces, strict=True):
        assert surface.strip(" ") == ("\n" if entry == "<eos>" else entry)


def test_only_first_of_bare_ids_is_null(api: ApiClient) -> None:
    tokens = tokens_of(api, TEXTS[0])
    ids = [token["id"] for token in tokens]
    bare = echo(api, ids)["logprobs"]
    assert bare["token_logprobs"][0] is None
    assert bare["top_logprobs"][0] is None
    assert None not in bare["token_logprobs"][1:] + bare["top_logprobs"][1:]
    expected = api.score_one(token_ids=[ids], bos=False, eos=False)["tokens"]
    assert bare["token_logprobs"] == [token["logprob"] for token in expected]
    prefixed = echo(api, [END, *ids])["logprobs"]
    assert prefixed["token_logprobs"][1:] == [token["logprob"] for token in tokens]


def test_empty_prompt_is_valid(api: ApiClient) -> None:
    prompts: list[Any] = ["", [], [[]]]
    for prompt in prompts:
        arrays = echo(api, prompt)["logprobs"]
        assert arrays == {name: [] for name in arrays}
        assert only_choice(api, prompt=prompt, max_tokens=3, seed=1)["text"]


@pytest.mark.parametrize("prompt", [TEXTS[1], [[END, 12, 392]], [12, 392]])
def test_prompt_logprobs_begin_with_actual_token(api: ApiClient, prompt: Any) -> None:
    rows = only_choice(api, prompt=prompt, max_tokens=1, prompt_logprobs=4)["prompt_logprobs"]
    if isinstance(prompt, str):
        result = api.score_one(text=prompt, eos=False, top=4, details=True)
    else:
        ids = prompt[0] if isinstance(prompt[0], list) else prompt
        result = api.score_one(token_ids=[ids], bos=False, eos=False, top=4, details=True)
    assert len(rows) == len(result["tokens"])
    for row, token in zip(rows, result["tokens"], strict=True):
        if token["logprob"] is None:
            assert row is None
            continue
        first = next(iter(row))
        assert first == str(token["id"])
        assert row[first] == {
            "logprob": token["logprob"],
            "decoded_token": token["text"],
            "rank": token["rank"],
        }
        assert len(row) in (4, 5)
        expected = {str(other["id"]): other["logprob"] for other in token["top"]}
        assert {key: row[key]["logprob"] for key in expected} == expected
        assert [row[key]["rank"] for key in expected] == [1, 2, 3, 4]


def text_before_eos(api: ApiClient) -> str:
    """Return a text after which `<eos>` is the most probable token."""
    for text in ("It was closed .", "The end .", "No one knew .", "It was ."):
        if api.next_token(context=text, top_k=1)["tokens"][0]["id"] == END:
            return text
    raise AssertionError("<eos> is not the most probable token after any of the texts")


def test_scoring_probe_generates_exactly_one_token(api: ApiClient) -> None:
    text = text_before_eos(api)
    count = len(tokens_of(api, text))
    choice = echo(api, text, max_tokens=1, temperature=0)
    assert choice["logprobs"]["tokens"][count:] == ["<eos>"]
    assert len(choice["logprobs"]["token_logprobs"]) == count + 1
    assert choice["finish_reason"] == "length"
    for seed in range(5):
        choice = echo(api, text, max_tokens=1, temperature=5, seed=seed, stop=["the", " "])
        assert len(choice["logprobs"]["tokens"]) == count + 1


def test_choice_without_echo_excludes_eos(api: ApiClient) -> None:
    choice = only_choice(api, prompt=text_before_eos(api), max_tokens=5, temperature=0, logprobs=1)
    assert (choice["text"], choice["finish_reason"]) == ("", "stop")
    assert choice["logprobs"]["tokens"] == []


def test_echo_arrays_continue_into_completion(api: ApiClient) -> None:
    prompt = TEXTS[0][:-2]
    choice = echo(api, prompt, max_tokens=6, temperature=0, logprobs=2)
    arrays, text = choice["logprobs"], choice["text"]
    count = len(tokens_of(api, prompt))
    ids = [END] + [token["id"] for token in tokens_of(api, prompt)]
    assert len(arrays["tokens"]) > count
    for at in range(count, len(arrays["tokens"])):
        tokens = api.next_token(token_ids=ids, bos=False, top_k=3)["tokens"]
        best = next(token for token in tokens if token["id"] != UNKNOWN)
        assert arrays["tokens"][at] == best["text"]
        assert arrays["token_logprobs"][at] == pytest.approx(best["logprob"], abs=1e-5)
        assert arrays["top_logprobs"][at][best["text"]] == arrays["token_logprobs"][at]
        assert text.startswith(best["text"], arrays["text_offset"][at])
        ids.append(best["id"])


def test_token_names_are_unique(model: LanguageModel) -> None:
    assert len(set(model.tokenizer.entries)) == model.tokenizer.vocabulary_size


def test_unknown_model_is_not_found(api: ApiClient) -> None:
    refusal = error_json(
        api.post("/v1/completions", model="gpt", prompt="a"), 404, "model_not_found"
    )
    assert refusal["param"] == "model"
    error_json(api.http.get("/v1/models/gpt"), 404, "model_not_found")


def test_unsupported_fields_are_ignored(api: ApiClient) -> None:
    fields: Json = {"prompt": TEXTS[0], "max_tokens": 5, "seed": 1}
    extras: Json = {"user": "me", "logit_bias": {"1": 2}, "presence_penalty": 0.5, "min_p": "x"}
    assert only_choice(api, **fields, **extras) == only_choice(api, **fields)
    assert ok_json(api.post("/tokenize", prompt="a", model="m", x=1))["count"] == 2


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"suffix": "x"}, "suffix"),
        ({"logprobs": 101}, "logprobs"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": {"text": "a"}}, "prompt"),
        ({"prompt": "a \ud800"}, "prompt"),
        ({"prompt": ["a", 1.5]}, "prompt"),
        ({"stop": 5}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"seed": "x"}, "seed"),
    ],
)
def test_invalid_field_is_named(api: ApiClient, fields: Json, param: str) -> None:
    response = api.post("/v1/completions", **{"model": "tiedlm", "prompt": "a", **fields})
    assert response.status_code == 422
    assert response.json()["error"]["param"] == param


def test_missing_field_is_named(api: ApiClient) -> None:
    refusal = error_json(api.post("/v1/completions", prompt="a"), 422, "invalid_request")
    assert refusal["param"] == "model"


def test_unknown_id_is_named_with_position(api: ApiClient) -> None:
    def param(prompt: Any) -> Any:
        response = api.post("/v1/completions", model="tiedlm", prompt=prompt)
        return error_json(response, 422, "unknown_token")["param"]

    assert param([[2], [3, 10**6]]) == "prompt.1.1"
    assert param([2, 10**6]) == "prompt.1"
