"""Choices of `/v1/completions`: their tokens, their ends, and stream against response."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.language_model import LanguageModel
from service.results.sampling import Step
from tests.support.api_client import ApiClient, Json, ok_json
from tests.support.completions import complete, only_choice

PROMPT = "The old river runs through"


def streamed(api: ApiClient, **fields: Any) -> list[Json]:
    """Return the choice of each event of a stream, and check the end of the stream."""
    body = {"model": "tiedlm", "stream": True, **fields}
    response = api.post("/v1/completions", **body)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/event-stream")
    *events, last, rest = response.text.split("\n\n")
    assert (last, rest) == ("data: [DONE]", "")
    parsed = [json.loads(event.removeprefix("data: ")) for event in events]
    assert len({event["id"] for event in parsed}) == 1
    return [event["choices"][0] for event in parsed]


def joined(events: list[Json], index: int) -> Json:
    """Return one choice put together from the deltas of its events."""
    own = [event for event in events if event["index"] == index]
    assert [event["finish_reason"] for event in own[:-1]] == [None] * (len(own) - 1)
    logprobs = None
    if own[0]["logprobs"] is not None:
        names = own[0]["logprobs"]
        logprobs = {name: [x for e in own for x in e["logprobs"][name]] for name in names}
    return {
        "index": index,
        "text": "".join(event["text"] for event in own),
        "finish_reason": own[-1]["finish_reason"],
        "logprobs": logprobs,
    }


STREAMED: list[Json] = [
    {"max_tokens": 12, "seed": 1},
    {"max_tokens": 12, "seed": 2, "n": 3, "logprobs": 2},
    {"max_tokens": 4, "seed": 3, "echo": True, "logprobs": 1},
    {"max_tokens": 0, "echo": True, "logprobs": 1},
    {"max_tokens": 30, "seed": 4, "stop": ["e", "zzz", " a long stop text that never comes"]},
    {"max_tokens": 30, "temperature": 0, "prompt": ["The", "In"], "logprobs": 0},
    {"max_tokens": 8, "seed": 5, "prompt": [[12, 392], [1]], "echo": True},
    {"max_tokens": 5, "temperature": 0, "prompt": "It was closed ."},
]


@pytest.mark.parametrize("fields", STREAMED)
def test_stream_equals_response(api: ApiClient, fields: Json) -> None:
    fields = {"prompt": PROMPT, **fields}
    whole = complete(api, **fields)["choices"]
    events = streamed(api, **fields)
    assert [joined(events, choice["index"]) for choice in whole] == whole


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_stop_text_cuts_choice(api: ApiClient, seed: int, data: st.DataObject) -> None:
    """The stop text may begin and end anywhere, across tokens and events."""
    fields: Json = {"prompt": PROMPT, "max_tokens": 16, "seed": seed, "logprobs": 0}
    text = only_choice(api, **fields)["text"]
    if len(text) < 2:
        return
    begin = data.draw(st.integers(0, len(text) - 1))
    stop = text[begin : begin + data.draw(st.integers(1, 12))]
    cut, stops = text.index(stop), [stop, "what never comes"]
    choice = only_choice(api, **fields, stop=stops)
    assert (choice["text"], choice["finish_reason"]) == (text[:cut], "stop")
    assert all(offset < cut for offset in choice["logprobs"]["text_offset"])
    assert joined(streamed(api, **fields, stop=stops), 0) == choice


def test_stream_sends_no_start_of_stop_text(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`well` `-` `known` is `well -` at first, then `well-known`: the third token adds `l-`."""
    ids = [model.tokenizer.entries.index(word) for word in ("well", "-", "known")]

    async def scripted(*_: object, **__: object) -> AsyncIterator[Step]:
        for token in ids:
            yield Step(token, -1.0, [], [])

    monkeypatch.setattr(LanguageModel, "generate", scripted)
    fields: Json = {"prompt": PROMPT, "stop": "l-"}
    choice = only_choice(api, **fields)
    assert (choice["text"], choice["finish_reason"]) == (" wel", "stop")
    assert joined(streamed(api, **fields), 0) == choice


def test_temperature_0_is_greedy(api: ApiClient) -> None:
    text, found = PROMPT, only_choice(api, prompt=PROMPT, max_tokens=8, temperature=0)
    words: list[str] = []
    while len(words) < 8:
        tokens = api.next_token(context=text, top_k=2)["tokens"]
        best = next(token["text"] for token in tokens if token["text"] != "<unk>")
        if best == "<eos>":
            break
        words.append(best)
        text += " " + best
    assert words
    assert found["text"].replace(" ", "") == "".join(words)


def test_unknown_word_is_never_drawn(api: ApiClient) -> None:
    """`<unk>` is among the most probable words nearly everywhere."""
    choices = complete(api, prompt=PROMPT, n=16, max_tokens=20, seed=1, logprobs=5)["choices"]
    drawn = [token for choice in choices for token in choice["logprobs"]["tokens"]]
    offered = [top for choice in choices for top in choice["logprobs"]["top_logprobs"]]
    assert len(drawn) > 50
    assert "<unk>" not in drawn
    assert any("<unk>" in top for top in offered)


def test_seed_and_index_determine_text(api: ApiClient) -> None:
    def texts(**fields: Any) -> list[str]:
        answered = complete(api, prompt=PROMPT, max_tokens=12, **fields)
        return [choice["text"] for choice in answered["choices"]]

    assert texts(seed=1, n=3) == texts(seed=1, n=3)
    assert texts(seed=1, n=3)[0] == texts(seed=1)[0]
    assert len(set(texts(seed=1, n=3))) > 1
    assert texts(seed=1) != texts(seed=2)
    assert texts(seed=2**63 - 1)
    assert texts(seed=-(2**63))


def test_echo_and_logprobs_keep_the_seeded_text(api: ApiClient) -> None:
    """Other fields change how the prompt is encoded, and not the state after it."""
    fields: Json = {"prompt": PROMPT, "max_tokens": 12, "seed": 3}
    text = only_choice(api, **fields)["text"]
    assert only_choice(api, **fields, prompt_logprobs=2)["text"] == text
    assert only_choice(api, **fields, echo=True, logprobs=1)["text"] == PROMPT + text
    twice = complete(api, **{**fields, "prompt": [PROMPT, "He", PROMPT]}, n=2)["choices"]
    assert [twice[0]["text"], twice[4]["text"]] == [text, text]
    assert twice[1]["text"] == twice[5]["text"]


def test_usage_counts_prompt_and_completion_tokens(api: ApiClient) -> None:
    answered = complete(api, prompt=["The old", "river"], max_tokens=3)
    usage = answered["usage"]
    assert usage["prompt_tokens"] == 3
    assert 0 <= usage["completion_tokens"] <= 6
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_full_length_choice_has_reason_length(api: ApiClient) -> None:
    choice = only_choice(api, prompt=PROMPT, max_tokens=1, temperature=0, logprobs=0)
    assert choice["finish_reason"] == "length"
    assert len(choice["logprobs"]["tokens"]) == 1


@pytest.mark.parametrize(("prompt", "seed"), [(PROMPT, 9), ("He said so ,", 2), ("= The end =", 1)])
def test_best_of_has_highest_mean_logprob(
    api: ApiClient, model: LanguageModel, prompt: str, seed: int
) -> None:
    """The mean is over all tokens, with the `<eos>` that ended a choice, which no array shows."""
    fields: Json = {"prompt": prompt, "max_tokens": 6, "seed": seed, "logprobs": 0}
    before = [model.tokenizer.end_id, *model.tokenizer.encode(prompt).ids.tolist()]

    def mean(choice: Json) -> float:
        found: list[float] = choice["logprobs"]["token_logprobs"]
        if choice["finish_reason"] == "stop":
            ids = [model.tokenizer.entries.index(word) for word in choice["logprobs"]["tokens"]]
            body: Json = {"token_ids": before + ids, "bos": False, "candidates": ["<eos>"]}
            found = [*found, api.next_token(**body)["candidates"][0]["logprob"]]
        return sum(found) / len(found)

    several = complete(api, n=12, **fields)["choices"]
    best = complete(api, n=2, best_of=12, **fields)
    expected = sorted(several, key=mean, reverse=True)[:2]
    assert [choice["text"] for choice in best["choices"]] == [c["text"] for c in expected]
    generated = sum(len(choice["logprobs"]["tokens"]) for choice in several)
    assert best["usage"]["completion_tokens"] == generated


def test_mean_logprob_includes_eos(
    api: ApiClient, model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The means are -9 (`<eos>` alone), -5 (word, `<eos>`) and -2 (a word): the last is best."""
    end = model.tokenizer.end_id
    drawn = iter([[(end, -9.0)], [(12, -1.0), (end, -9.0)], [(13, -2.0)]])

    async def scripted(*_: object, **__: object) -> AsyncIterator[Step]:
        for token, logprob in next(drawn):
            yield Step(token, logprob, [], [])

    monkeypatch.setattr(LanguageModel, "generate", scripted)
    best = only_choice(api, prompt=PROMPT, best_of=3)
    assert best["text"].strip() == model.tokenizer.entries[13]


def test_choices_are_ordered_by_prompt(api: ApiClient) -> None:
    prompts = ["The old", "In the north", "He"]
    choices = complete(api, prompt=prompts, n=2, max_tokens=4, seed=1, echo=True)["choices"]
    assert [choice["index"] for choice in choices] == list(range(6))
    for choice in choices:
        assert choice["text"].startswith(prompts[choice["index"] // 2])


PIECES = ["the ", "The", " river", "Zxq", "'s", ".", ",", "(", ")", '"', "\n", "👩‍👧", "é", " "]
pieces = st.sampled_from([*PIECES, "<unk>", "<eos>"])
texts = st.text(max_size=80) | st.lists(pieces, max_size=20).map("".join)


@given(text=texts)
def test_detokenize_inverts_tokenize(api: ApiClient, model: LanguageModel, text: str) -> None:
    def tokenize(prompt: str) -> Json:
        return ok_json(api.post("/tokenize", prompt=prompt, add_special_tokens=False))

    tokens = tokenize(text)["tokens"]
    again = ok_json(api.post("/detokenize", tokens=tokens))["prompt"]
    assert tokenize(again)["tokens"] == tokens


def test_add_special_tokens_prepends_bos(api: ApiClient) -> None:
    info = ok_json(api.http.get("/tokenizer_info"))
    plain = ok_json(api.post("/tokenize", prompt="The old river", add_special_tokens=False))
    prefixed = ok_json(api.post("/tokenize", prompt="The old river"))
    (end,) = ok_json(api.post("/tokenize", prompt=info["bos_token"], add_special_tokens=False))[
        "tokens"
    ]
    assert end != 0
    assert prefixed["tokens"] == [end, *plain["tokens"]]
    assert prefixed["count"] == plain["count"] + 1 == 4
