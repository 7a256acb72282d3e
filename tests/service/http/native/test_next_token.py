"""`POST /next-token`: the distribution and its options, compared with sums computed here."""

import math
from typing import Any

import pytest

from service.language_model import LanguageModel
from tests.support.api_client import ApiClient, Json, error_json, logprobs, token_ids

CONTEXT = "The capital of the"
UNKNOWN, END = 0, 1


@pytest.fixture(scope="module")
def vocabulary(model: LanguageModel) -> list[str]:
    return model.tokenizer.entries


@pytest.fixture(scope="module")
def baseline(api: ApiClient, vocabulary: list[str]) -> dict[int, float]:
    """Return the probabilities of all words after the context, without any option."""
    answer = api.next_token(context=CONTEXT, top_k=len(vocabulary))
    return {token["id"]: token["probability"] for token in answer["tokens"]}


def renormalized(weights: dict[int, float]) -> dict[int, float]:
    total = sum(weights.values())
    return {token: weight / total for token, weight in weights.items()}


def probabilities(answer: Json) -> dict[int, float]:
    return {token["id"]: token["probability"] for token in answer["tokens"]}


def check_distribution(answer: Json, expected: dict[int, float]) -> None:
    """Check that the response contains the whole expected distribution and nothing else."""
    assert probabilities(answer) == pytest.approx(expected, rel=1e-5, abs=1e-12)
    entropy = -sum(p * math.log(p) for p in expected.values() if p)
    assert answer["entropy"] == pytest.approx(entropy, abs=1e-4)
    assert answer["remaining_probability"] == pytest.approx(0, abs=1e-5)


def test_probabilities_sum_to_one(baseline: dict[int, float], vocabulary: list[str]) -> None:
    assert sorted(baseline) == list(range(len(vocabulary)))
    assert math.fsum(baseline.values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("word", ["city", "the", "Zxqvyk", ",", "\n"])
def test_probability_equals_score(api: ApiClient, baseline: dict[int, float], word: str) -> None:
    (token,) = api.score_one(text=word, context=CONTEXT, eos=False)["tokens"]
    assert -math.log(baseline[token["id"]]) == pytest.approx(token["cross_entropy"], abs=1e-5)


def test_tokens_are_sorted_by_probability_then_id(api: ApiClient, vocabulary: list[str]) -> None:
    tokens = api.next_token(context=CONTEXT, top_k=len(vocabulary))["tokens"]
    order = [(-token["logprob"], token["id"]) for token in tokens]
    assert order == sorted(order)
    assert [token["rank"] for token in tokens] == list(range(1, len(vocabulary) + 1))
    assert [token["text"] for token in tokens] == [vocabulary[token["id"]] for token in tokens]


@pytest.mark.parametrize("top_k", [0, 1, 10])
def test_top_k_limits_the_list(api: ApiClient, baseline: dict[int, float], top_k: int) -> None:
    answer = api.next_token(context=CONTEXT, top_k=top_k)
    assert list(probabilities(answer)) == list(baseline)[:top_k]
    rest = math.fsum(list(baseline.values())[top_k:])
    assert answer["remaining_probability"] == pytest.approx(rest, abs=1e-5)


def test_default_top_k_is_ten(api: ApiClient) -> None:
    assert len(api.next_token(context=CONTEXT)["tokens"]) == 10


def test_candidates_have_figures_at_any_rank(api: ApiClient, baseline: dict[int, float]) -> None:
    words = ["city", "the", "city", ",", "<eos>"]
    candidates = api.next_token(context=CONTEXT, top_k=0, candidates=words)["candidates"]
    assert [candidate["candidate"] for candidate in candidates] == words
    for candidate in candidates:
        assert candidate["text"] == candidate["candidate"]
        assert candidate["oov"] is False
        assert candidate["probability"] == pytest.approx(baseline[candidate["id"]])
        assert candidate["logprob"] == pytest.approx(math.log(baseline[candidate["id"]]))
        assert candidate["rank"] == 1 + list(baseline).index(candidate["id"])


def test_unknown_candidate_has_figures_of_unk(api: ApiClient, baseline: dict[int, float]) -> None:
    unknown, literal = api.next_token(context=CONTEXT, candidates=["Zxqvyk", "<unk>"])["candidates"]
    assert unknown["candidate"] == "Zxqvyk"
    assert unknown["oov"]
    assert literal["oov"]
    assert (unknown["id"], unknown["text"]) == (UNKNOWN, "<unk>")
    assert unknown["probability"] == literal["probability"] == pytest.approx(baseline[UNKNOWN])


@pytest.mark.parametrize("word", ["two words", "don't", "", "   ", "a\nb"])
def test_candidate_of_several_tokens_is_rejected(api: ApiClient, word: str) -> None:
    response = api.post("/next-token", context=CONTEXT, candidates=["the", "of", word])
    assert error_json(response, 422, "unknown_token")["param"] == "candidates.2"


def test_exclude_special_renormalises_the_rest(
    api: ApiClient, baseline: dict[int, float], vocabulary: list[str]
) -> None:
    answer = api.next_token(
        context=CONTEXT,
        top_k=len(vocabulary),
        exclude_special=True,
        candidates=["Zxqvyk", "\n", "the"],
    )
    check_distribution(
        answer, renormalized({i: p for i, p in baseline.items() if i not in (UNKNOWN, END)})
    )
    unknown, end, the = answer["candidates"]
    for left_out in (unknown, end):
        assert left_out["probability"] == 0
        assert left_out["logprob"] is None
        assert left_out["rank"] is None
    assert the["probability"] == pytest.approx(probabilities(answer)[the["id"]])


def test_prefix_keeps_matching_words(
    api: ApiClient, baseline: dict[int, float], vocabulary: list[str]
) -> None:
    answer = api.next_token(
        context=CONTEXT, top_k=len(vocabulary), prefix="th", candidates=["the", "of"]
    )
    kept = {i: p for i, p in baseline.items() if vocabulary[i].startswith("th")}
    check_distribution(answer, renormalized(kept))
    assert answer["prefix_probability"] == pytest.approx(math.fsum(kept.values()), rel=1e-5)
    the, of = answer["candidates"]
    assert the["probability"] == pytest.approx(baseline[the["id"]] / math.fsum(kept.values()))
    assert of["logprob"] is None


def test_unmatched_prefix_lists_nothing(api: ApiClient) -> None:
    answer = api.next_token(context=CONTEXT, prefix="qqqq", candidates=["the"])
    assert answer["tokens"] == []
    assert answer["entropy"] is None
    assert answer["prefix_probability"] == 0
    assert answer["remaining_probability"] == 0
    assert answer["candidates"][0]["probability"] == 0
    assert answer["candidates"][0]["logprob"] is None


def test_prefix_probability_requires_prefix(api: ApiClient) -> None:
    assert api.next_token(context=CONTEXT).get("prefix_probability") is None
    assert api.next_token(context=CONTEXT, prefix="")["prefix_probability"] == pytest.approx(1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0, 50])
def test_temperature_divides_the_logits(
    api: ApiClient, baseline: dict[int, float], vocabulary: list[str], temperature: float
) -> None:
    answer = api.next_token(context=CONTEXT, top_k=len(vocabulary), temperature=temperature)
    check_distribution(
        answer, renormalized({i: p ** (1 / temperature) for i, p in baseline.items()})
    )


def test_temperature_then_specials_then_prefix(
    api: ApiClient, baseline: dict[int, float], vocabulary: list[str]
) -> None:
    answer = api.next_token(
        context=CONTEXT,
        top_k=len(vocabulary),
        temperature=2.0,
        exclude_special=True,
        prefix="<",
    )
    warm = renormalized({i: math.sqrt(p) for i, p in baseline.items()})
    left = renormalized({i: p for i, p in warm.items() if i not in (UNKNOWN, END)})
    kept = {i: p for i, p in left.items() if vocabulary[i].startswith("<")}
    assert answer["prefix_probability"] == pytest.approx(math.fsum(kept.values()), rel=1e-5)
    assert probabilities(answer) == pytest.approx(renormalized(kept))


@pytest.mark.parametrize("nothing", [{}, {"context": ""}, {"token_ids": []}])
def test_missing_context_is_start_of_text(api: ApiClient, nothing: dict[str, Any]) -> None:
    start = api.next_token(top_k=5, token_ids=[END], bos=False)
    assert probabilities(api.next_token(top_k=5, **nothing)) == pytest.approx(probabilities(start))
    (first, _) = logprobs(api.score_one(text=start["tokens"][0]["text"]))
    assert start["tokens"][0]["logprob"] == pytest.approx(first, abs=1e-5)


def test_without_bos_starts_from_zero_state(api: ApiClient, vocabulary: list[str]) -> None:
    zero = api.next_token(bos=False, top_k=len(vocabulary))
    assert math.fsum(probabilities(zero).values()) == pytest.approx(1, abs=1e-5)
    assert probabilities(zero) != probabilities(api.next_token(top_k=len(vocabulary)))


def test_token_ids_equal_their_text(api: ApiClient) -> None:
    by_text = api.next_token(context=CONTEXT)
    context = token_ids(api.score_one(text=CONTEXT, eos=False))
    assert probabilities(api.next_token(token_ids=context)) == pytest.approx(
        probabilities(by_text), rel=1e-5
    )
