"""Odd, long and empty text of any script gets correct scores."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.api_client import ApiClient, logprobs, scored_logprobs, token_ids

UNKNOWN, END = 0, 1
LONG = 100_000

ODD = {
    "nul": "the\x00city",
    "controls": "\x01\x02\x1b[31m \x7f the",
    "separators": "the\x1ccity\x1dof\x1ethe\x1fnorth",
    "right to left": "שלום עולם مرحبا",
    "direction marks": "\u202ethe city\u202c \u200fof",
    "emoji joined": "the 👩‍👩‍👧‍👦 city 👍🏽 🇩🇪",
    "combining": "e\u0301 n\u0303 Z\u0351\u0321\u0300algo",
    "zero width": "the\u200bcity\ufeff of\u2060",
    "wide spaces": "the\u3000city\u00a0of\u2003the",
    "line ends": "the\r\ncity\rof\u2028the\u2029north\x85and\x0b\x0c",
    "beyond the basic plane": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𒀀 \U0010ffff",
    "noncharacters": "\ufffe\uffff \ufdd0",
    "quotes": '"the" \\ / \\n \\u0000 {"text": 1}',
    "markup": "<eos><unk></s> <pad> <0x0A> <script>",
    "one long word": "x" * 10_000,
}


@pytest.mark.parametrize("name", ODD)
def test_offsets_of_odd_text_are_exact(api: ApiClient, name: str) -> None:
    text = ODD[name]
    *tokens, end = api.score_one(text=text)["tokens"]
    at = 0
    for token in tokens:
        assert text[at : token["start"]].strip() == ""
        surface = text[token["start"] : token["end"]]
        assert surface
        at_end = token["id"] == END and surface in ("\n", "\r\n")
        assert token["oov"] or surface == token["text"] or at_end
        at = token["end"]
    assert text[at:].strip() == ""
    assert (end["id"], end["start"], end["end"]) == (END, len(text), len(text))


@pytest.mark.parametrize("name", ODD)
def test_odd_text_has_the_probabilities_of_its_ids(api: ApiClient, name: str) -> None:
    result = api.score_one(text=ODD[name])
    by_ids = api.score_one(token_ids=[token_ids(result)], eos=False)
    assert logprobs(by_ids) == pytest.approx(logprobs(result), abs=1e-5)
    assert result["total_cross_entropy"] == pytest.approx(
        -math.fsum(scored_logprobs(by_ids)), rel=1e-6
    )
    assert result["cross_entropy_per_byte"] == pytest.approx(
        result["total_cross_entropy"] / len(ODD[name].encode())
    )


@given(text=st.text(max_size=200), context=st.text(max_size=50))
def test_any_text_is_scored_and_any_context_conditions(
    api: ApiClient, text: str, context: str
) -> None:
    result = api.score_one(text=text, context=context)
    assert result["token_count"] == len(result["tokens"]) >= 1
    assert all(logprob < 0 for logprob in scored_logprobs(result))
    assert api.next_token(context=context, prefix=text, top_k=1)["prefix_probability"] <= 1 + 1e-6


@settings(max_examples=20)
@given(context=st.text(max_size=50))
def test_distributions_agree_with_scores(api: ApiClient, context: str) -> None:
    tokens = api.next_token(context=context, top_k=2)["tokens"]
    continuations = [[token["id"]] for token in tokens]
    results = api.score(token_ids=continuations, context=context, eos=False)["results"]
    assert [token_ids(result) for result in results] == continuations
    for token, result in zip(tokens, results, strict=True):
        assert logprobs(result) == [pytest.approx(token["logprob"], abs=1e-5)]


@pytest.mark.parametrize("blank", [" ", " " * LONG, "\t \r\u3000\u00a0", "\x0b\x0c"])
def test_white_space_alone_is_an_empty_text(api: ApiClient, blank: str) -> None:
    result = api.score_one(text=blank)
    assert token_ids(result) == [END]
    assert logprobs(result) == logprobs(api.score_one(text=""))
    assert result["word_count"] == 0
    assert result["cross_entropy_per_word"] is None
    assert result["cross_entropy_per_character"] == pytest.approx(
        result["total_cross_entropy"] / len(blank)
    )


def test_newlines_alone_are_only_ends(api: ApiClient) -> None:
    assert token_ids(api.score_one(text="\n" * 5)) == [END] * 6


def test_a_long_text_scores_as_its_parts(api: ApiClient) -> None:
    words = ["the", "city", "of", "Zxqvyk", "1905", "\n"]
    long = " ".join(words[n * n % len(words)] for n in range(LONG))
    result = api.score_one(text=long)
    assert result["token_count"] == LONG + 1
    assert result["word_count"] == len(long.split())
    assert [token["start"] for token in result["tokens"][:3]] == [0, 4, 9]
    assert result["tokens"][-2]["end"] == len(long.rstrip(" "))
    assert result["total_cross_entropy"] == pytest.approx(
        -math.fsum(scored_logprobs(result)), rel=1e-9
    )
    cut = result["tokens"][LONG - 50]["start"]
    after = api.score_one(text=long[cut:], context=long[:cut])
    assert logprobs(after) == pytest.approx(logprobs(result)[LONG - 50 :], abs=1e-5)


def test_many_empty_texts_are_each_scored(api: ApiClient) -> None:
    results = api.score(texts=[""] * 4096, tokens=False)["results"]
    assert [result["token_count"] for result in results] == [1] * 4096


@pytest.mark.parametrize("word", ["\x00", "👩‍👩‍👧‍👦", "שלום", "Zxqvyk", "\ufffe"])
def test_an_odd_candidate_is_unknown_or_too_long(api: ApiClient, word: str) -> None:
    count = api.score_one(text=word, eos=False)["token_count"]
    response = api.post("/next-token", candidates=[word])
    if count == 1:
        (candidate,) = response.json()["candidates"]
        assert (candidate["id"], candidate["candidate"]) == (UNKNOWN, word)
    else:
        assert response.status_code == 422
        assert str(count) in response.json()["error"]["message"]


def test_a_tiny_temperature_picks_the_most_probable(api: ApiClient) -> None:
    (best,) = api.next_token(context="The city", top_k=1)["tokens"]
    for temperature in (1e-5, 1e-300, 5e-324):
        (token,) = api.next_token(context="The city", top_k=1, temperature=temperature)["tokens"]
        assert token["id"] == best["id"]
        assert token["probability"] == pytest.approx(1)
