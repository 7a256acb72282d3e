"""The ranking is that of `/rescore`."""

import pytest

from tests.playground.browser import Playground
from tests.service.wire import Wire

LINES = "-1.0\tthe liver\n\n-1.2\tthe <b>river</b>\nthe 河 river\nno\tscore here\n2e-1\tكان النهر"
HYPOTHESES = [
    {"text": "the liver", "score": -1.0},
    {"text": "the <b>river</b>", "score": -1.2},
    {"text": "the 河 river"},
    {"text": "no\tscore here"},
    {"text": "كان النهر", "score": 0.2},
]


def rows(playground: Playground) -> list[list[str]]:
    found: list[list[str]] = playground.page.locator("#ranking tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return found


@pytest.mark.parametrize(("weight", "bonus"), [("1", "0"), ("0.1", "2.5")])
def test_hypotheses_are_ranked_with_their_scores(
    playground: Playground, wire: Wire, weight: str, bonus: str
) -> None:
    context = "The bridge crosses"
    response = wire.post(
        "/rescore",
        hypotheses=HYPOTHESES,
        context=context,
        lm_weight=float(weight),
        length_bonus=float(bonus),
    )
    results = response.json()["results"]
    playground.open(view="rescore", hypotheses=LINES, context=context, weight=weight, bonus=bonus)
    found = rows(playground)
    assert [row[1] for row in found] == [result["text"] for result in results]
    assert [row[0] for row in found] == ["1", "2", "3", "4", "5"]
    for row, result in zip(found, results, strict=True):
        assert float(row[2].replace("−", "-")) == pytest.approx(result["total"], abs=0.051)
        assert float(row[3].replace("−", "-")) == HYPOTHESES[result["index"]].get("score", 0)
        assert float(row[4].replace("−", "-")) == pytest.approx(result["logprob"], abs=0.051)
        assert row[5:] == [str(result["token_count"]), str(result["oov_count"])]


def test_the_ranking_follows_what_is_typed(playground: Playground) -> None:
    playground.open(view="rescore", hypotheses="the liver\nthe river", context="The bridge crosses")
    assert rows(playground)[0][1] == "the river"
    playground.page.get_by_label("Hypotheses").fill("0\tthe liver\n-30\tthe river")
    playground.settled()
    assert rows(playground)[0][1] == "the liver"
    playground.page.get_by_label("Hypotheses").fill("")
    playground.settled()
    assert rows(playground) == []


def test_a_field_that_is_no_number_is_refused_in_the_servers_words(
    playground: Playground, wire: Wire
) -> None:
    playground.expected = ("422",)
    refusal = wire.post("/rescore", hypotheses=[{"text": "a"}], lm_weight=None).json()["error"]
    playground.open(view="rescore", hypotheses="a", weight="")
    assert playground.page.get_by_role("alert").text_content() == refusal["message"]
