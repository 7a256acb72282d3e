"""`POST /score`: every field of a response, compared with `/next-token` and sums computed here."""

import math
from typing import Any

import pytest

from tests.support.api_client import ApiClient, Json, logprobs, token_ids

TEXT = "The city was built in the 19th century; Zxqvyk's bridge, too."
TEXTS = [TEXT, "", "On the river.\nIn the north", "Zxqvyk"]
UNKNOWN, END = 0, 1


@pytest.fixture(scope="module")
def result(api: ApiClient) -> Json:
    return api.score_one(text=TEXT)


def known(result: Json, oov: bool | None = None) -> list[float]:
    """Return the log-probabilities of scored tokens, all or those with this `oov`."""
    return [
        token["logprob"]
        for token in result["tokens"]
        if token["logprob"] is not None and oov in (None, token["oov"])
    ]


def test_logprob_equals_next_token(api: ApiClient) -> None:
    before = [END]
    for token in api.score_one(text=TEXT)["tokens"]:
        expected = api.logprobs_after(before, bos=False)[token["id"]]
        assert token["logprob"] == pytest.approx(expected, abs=1e-5)
        before.append(token["id"])


def test_cross_entropy_is_minus_the_log_probability(result: Json) -> None:
    for token in result["tokens"]:
        assert token["cross_entropy"] == -token["logprob"]


def test_offsets_split_text_into_tokens(result: Json) -> None:
    *tokens, end = result["tokens"]
    surfaces = [TEXT[token["start"] : token["end"]] for token in tokens]
    assert "".join(surfaces) == TEXT.replace(" ", "")
    assert [token["text"] for token in tokens if not token["oov"]] == [
        surface for token, surface in zip(tokens, surfaces, strict=True) if not token["oov"]
    ]
    assert (end["text"], end["start"], end["end"]) == ("<eos>", len(TEXT), len(TEXT))


def test_aggregates_are_total_over_count(result: Json) -> None:
    total = -sum(known(result))
    rest = known(result, oov=False)
    assert result["token_count"] == len(result["tokens"])
    assert result["oov_count"] == len(result["tokens"]) - len(rest) >= 1
    assert result["word_count"] == len(TEXT.split())
    assert result["total_cross_entropy"] == pytest.approx(total)
    assert result["mean_cross_entropy"] == pytest.approx(total / len(result["tokens"]))
    assert result["perplexity"] == pytest.approx(math.exp(total / len(result["tokens"])))
    assert result["perplexity_excluding_oov"] == pytest.approx(math.exp(-sum(rest) / len(rest)))
    assert result["cross_entropy_per_byte"] == pytest.approx(total / len(TEXT.encode()))
    assert result["cross_entropy_per_character"] == pytest.approx(total / len(TEXT))
    assert result["cross_entropy_per_word"] == pytest.approx(total / len(TEXT.split()))


def test_bytes_and_characters_are_counted_apart(api: ApiClient) -> None:
    result = api.score_one(text="é 中 👩")
    assert result["cross_entropy_per_byte"] == pytest.approx(result["total_cross_entropy"] / 11)
    assert result["cross_entropy_per_character"] == pytest.approx(result["total_cross_entropy"] / 5)


def test_summary_is_total_over_all_texts(api: ApiClient) -> None:
    answer = api.score(texts=TEXTS)
    flat = [token for result in answer["results"] for token in result["tokens"]]
    total = -sum(token["logprob"] for token in flat)
    rest = [token["logprob"] for token in flat if not token["oov"]]
    summary = answer["summary"]
    assert len(answer["results"]) == len(TEXTS)
    assert summary["token_count"] == len(flat)
    assert summary["oov_count"] == len(flat) - len(rest)
    assert summary["total_cross_entropy"] == pytest.approx(total)
    assert summary["perplexity"] == pytest.approx(math.exp(total / len(flat)))
    assert summary["perplexity_excluding_oov"] == pytest.approx(math.exp(-sum(rest) / len(rest)))
    characters = sum(map(len, TEXTS))
    assert summary["cross_entropy_per_character"] == pytest.approx(total / characters)
    assert summary["word_count"] == sum(len(text.split()) for text in TEXTS)


def test_response_names_model_unit_and_vocabulary(api: ApiClient) -> None:
    answer = api.score(text=TEXT, unit="bans")
    info = api.http.get("/info").json()
    assert answer["model"] == info["model"]
    assert answer["vocabulary_size"] == info["vocabulary_size"]
    assert answer["unit"] == "bans"


@pytest.mark.parametrize(("unit", "base"), [("nats", math.e), ("bits", 2), ("bans", 10)])
def test_unit_scales_only_cross_entropies(
    api: ApiClient, result: Json, unit: str, base: float
) -> None:
    scaled = api.score_one(text=TEXT, unit=unit)
    assert logprobs(scaled) == logprobs(result)
    assert scaled["perplexity"] == result["perplexity"]
    total = -sum(known(scaled)) / math.log(base)
    assert scaled["total_cross_entropy"] == pytest.approx(total)
    for token in scaled["tokens"]:
        expected = -token["logprob"] / math.log(base)
        assert token["cross_entropy"] == pytest.approx(expected, rel=1e-12)


def test_tokens_false_returns_aggregates_only(api: ApiClient, result: Json) -> None:
    short = api.score_one(text=TEXT, tokens=False)
    assert short == {name: value for name, value in result.items() if name != "tokens"}


@pytest.mark.parametrize(
    ("bos", "eos", "counted", "listed"),
    [(True, True, 3, 3), (True, False, 2, 2), (False, True, 2, 3), (False, False, 1, 2)],
)
def test_bos_and_eos(api: ApiClient, bos: bool, eos: bool, counted: int, listed: int) -> None:
    result = api.score_one(text="The city", bos=bos, eos=eos)
    first, *rest = logprobs(result)
    assert (first is None) == (not bos)
    assert None not in rest
    assert result["token_count"] == counted
    assert len(result["tokens"]) == listed
    assert (token_ids(result)[-1] == END) == eos
    assert result["tokens"][0]["cross_entropy"] == (None if first is None else -first)


def test_unscored_first_token_is_not_counted_as_oov(api: ApiClient) -> None:
    result = api.score_one(text="Zxqvyk city", bos=False)
    assert [token["oov"] for token in result["tokens"]] == [True, False, False]
    assert result["oov_count"] == 0
    assert result["perplexity"] == result["perplexity_excluding_oov"]


@pytest.mark.parametrize("fields", [{"text": "", "eos": False}, {"text": "city", "bos": False}])
def test_means_over_nothing_are_null(api: ApiClient, fields: dict[str, Any]) -> None:
    result = api.score_one(**{"eos": False} | fields)
    assert result["token_count"] == 0
    assert result["total_cross_entropy"] == 0
    assert math.copysign(1, result["total_cross_entropy"]) == 1
    for name in ("mean_cross_entropy", "perplexity", "perplexity_excluding_oov"):
        assert result[name] is None


PER = ("byte", "character", "word")


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("city", ""),
        ("  Zürich is old", " is old"),
        ("city, and", ", and"),
        ("\nthe city", "the city"),
        ("“the city”", "the city”"),
    ],
)
@pytest.mark.parametrize("eos", [True, False])
def test_unscored_first_token_is_in_no_denominator(
    api: ApiClient, text: str, rest: str, eos: bool
) -> None:
    whole = api.score_one(text=text, bos=False, eos=eos)
    counts = (len(rest.encode()), len(rest), len(rest.split()))
    assert whole["word_count"] == counts[2]
    for name, count in zip(PER, counts, strict=True):
        expected = whole["total_cross_entropy"] / count if count else None
        assert whole[f"cross_entropy_per_{name}"] == (expected and pytest.approx(expected))
    given = [token["id"] for token in whole["tokens"]][: -1 if eos else None]
    if "Zürich" not in text:  # an id does not determine its spelling
        by_ids = api.score_one(token_ids=[given], bos=False, eos=eos)
        assert by_ids["word_count"] == whole["word_count"]
        per = [by_ids[f"cross_entropy_per_{name}"] for name in PER]
        assert per == pytest.approx([whole[f"cross_entropy_per_{name}"] for name in PER])


def test_context_or_state_scores_first_token(api: ApiClient) -> None:
    whole = api.score_one(text="city", eos=False)
    state = api.score_one(text="the", eos=False, return_state=True)["state"]
    for more in ({"bos": False, "context": "the"}, {"state": state}):
        after = api.score_one(text="city", eos=False, **more)
        assert after["word_count"] == whole["word_count"] == 1
        assert after["cross_entropy_per_byte"] == after["total_cross_entropy"] / 4


def test_every_mean_over_nothing_is_null(api: ApiClient) -> None:
    for text in ("city", " \t", ""):
        answer = api.score(texts=[text], bos=False, eos=False)
        for figures in (answer["results"][0], answer["summary"]):
            assert figures["token_count"] == 0
            assert [figures[f"cross_entropy_per_{name}"] for name in PER] == [None] * 3


def test_empty_text_scores_its_end(api: ApiClient) -> None:
    result = api.score_one(text="")
    assert [(token["start"], token["end"]) for token in result["tokens"]] == [(0, 0)]
    expected = api.logprobs_after([])[END]
    assert logprobs(result) == [pytest.approx(expected, abs=1e-5)]
    assert result["cross_entropy_per_byte"] is None
    assert result["cross_entropy_per_word"] is None


@pytest.mark.parametrize("top", [1, 5, 100])
def test_top_lists_the_most_probable(api: ApiClient, top: int) -> None:
    result = api.score_one(text="The city of the", top=top)
    before = [END]
    for token in result["tokens"]:
        expected = api.logprobs_after(before, bos=False)
        alternatives = {other["id"]: other["logprob"] for other in token["top"]}
        best = sorted(expected.values(), reverse=True)[:top]
        assert list(alternatives.values()) == pytest.approx(best, abs=1e-5)
        assert alternatives.get(token["id"], token["logprob"]) == token["logprob"]
        assert len(alternatives) == top
        before.append(token["id"])


def test_top_is_absent_for_unscored_token(api: ApiClient) -> None:
    assert all("top" not in token for token in api.score_one(text=TEXT)["tokens"])
    first, second = api.score_one(text="The city", top=2, bos=False, eos=False)["tokens"]
    assert first.get("top") is None
    assert len(second["top"]) == 2
