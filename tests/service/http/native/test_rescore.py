"""`POST /rescore`: the figures of `/score` whatever prefixes are shared, and the order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.api_client import ApiClient, Json, error_json, ok_json

STEMS = ["", "The old river", "The old river runs", "The young", "In the north ,", "Zxqvyk 's"]
words = st.sampled_from(["the", "river", "runs", "Zxqvyk", ".", "\n", "👩‍👧", "<unk>", "a"])
texts = st.builds(
    lambda stem, rest: " ".join([stem, *rest]),
    st.sampled_from(STEMS),
    st.lists(words, max_size=5),
)
contexts = st.none() | st.sampled_from(["", "They went on .", "A line .\n"])


def rescore(api: ApiClient, hypotheses: list[Json], **fields: object) -> list[Json]:
    return list(ok_json(api.post("/rescore", hypotheses=hypotheses, **fields))["results"])


def by_index(results: list[Json]) -> list[Json]:
    return sorted(results, key=lambda result: int(result["index"]))


@given(st.lists(texts, min_size=1, max_size=12), contexts)
def test_logprobs_equal_score_bit_for_bit(
    api: ApiClient, hypotheses: list[str], context: str | None
) -> None:
    """Hypotheses may be equal, empty, or a prefix of another."""
    fields = {} if context is None else {"context": context}
    results = by_index(rescore(api, [{"text": text} for text in hypotheses], **fields))
    expected = api.score(texts=hypotheses, **fields)["results"]
    assert [result["text"] for result in results] == hypotheses
    for result, score in zip(results, expected, strict=True):
        assert result["logprob"] == -score["total_cross_entropy"]
        assert result["token_count"] == score["token_count"]
        assert result["oov_count"] == score["oov_count"]


weights = st.floats(-10, 10)


@given(st.lists(st.tuples(texts, weights), min_size=1, max_size=8), weights, weights)
def test_results_are_sorted_by_total(
    api: ApiClient, scored: list[tuple[str, float]], lm_weight: float, length_bonus: float
) -> None:
    hypotheses: list[Json] = [{"text": text, "score": score} for text, score in scored]
    results = rescore(api, hypotheses, lm_weight=lm_weight, length_bonus=length_bonus)
    for result in results:
        own = scored[result["index"]][1]
        expected = own + lm_weight * result["logprob"] + length_bonus * result["token_count"]
        assert result["total"] == pytest.approx(expected, rel=1e-12, abs=1e-12)
    order = [(-result["total"], result["index"]) for result in results]
    assert order == sorted(order)


def test_ties_keep_request_order(api: ApiClient) -> None:
    hypotheses: list[Json] = [{"text": text, "id": str(n)} for n, text in enumerate("bababa")]
    results = rescore(api, hypotheses, lm_weight=0)
    assert [result["index"] for result in results] == list(range(6))
    assert [result["id"] for result in results] == list("012345")
    alike = rescore(api, [{"text": "the river"}] * 4)
    assert [result["index"] for result in alike] == list(range(4))
    assert len({result["logprob"] for result in alike}) == 1


def test_id_is_returned_only_if_given(api: ApiClient) -> None:
    results = by_index(rescore(api, [{"text": "a", "id": "x"}, {"text": "b"}]))
    assert results[0]["id"] == "x"
    assert "id" not in results[1]


def test_hypotheses_may_nest_deeply(api: ApiClient) -> None:
    hypotheses = [" ".join(["the"] * count) for count in range(500)]
    results = by_index(rescore(api, [{"text": text} for text in hypotheses]))
    checked = hypotheses[::83]
    expected = api.score(texts=checked, tokens=False)["results"]
    assert [-score["total_cross_entropy"] for score in expected] == [
        result["logprob"] for result in results[::83]
    ]


@pytest.mark.parametrize(
    "fields",
    [{}, {"hypotheses": []}, {"hypotheses": [{}]}, {"hypotheses": [{"text": "a", "nonsense": 1}]}],
)
def test_invalid_n_best_list_is_rejected(api: ApiClient, fields: Json) -> None:
    refusal = error_json(api.post("/rescore", **fields), 422, "invalid_request")
    assert refusal["param"].startswith("hypotheses")


def test_too_many_hypotheses_are_rejected(api: ApiClient) -> None:
    hypotheses = [{"text": ""}] * 4097
    error_json(api.post("/rescore", hypotheses=hypotheses), 422, "input_too_long")
