"""The ranking equals that of `/rescore`."""

import pytest
from playwright.sync_api import expect

from tests.playground.browser import Playground
from tests.support.api_client import ApiClient

LINES = "-1.0\tthe liver\n\n-1.2\tthe <b>river</b>\nthe 河 river\nno\tscore here\n2e-1\tكان النهر"
HYPOTHESES = [
    {"text": "the liver", "score": -1.0},
    {"text": "the <b>river</b>", "score": -1.2},
    {"text": "the 河 river"},
    {"text": "no\tscore here"},
    {"text": "كان النهر", "score": 0.2},
]


PARSE = """async (text) => {
    const { parseHypotheses } = await import("/playground/hypotheses.js");
    return parseHypotheses(text).map(({ text, score }) => [text, score ?? null]);
}"""


def rows(playground: Playground) -> list[list[str]]:
    playground.wait_until_idle()
    found: list[list[str]] = playground.page.locator("#ranking tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return found


@pytest.mark.parametrize(("weight", "bonus"), [("1", "0"), ("0.1", "2.5")])
def test_hypotheses_are_ranked_with_their_scores(
    playground: Playground, api: ApiClient, weight: str, bonus: str
) -> None:
    context = "The bridge crosses"
    response = api.post(
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


def test_typing_updates_the_ranking(playground: Playground) -> None:
    playground.open(view="rescore", hypotheses="the liver\nthe river", context="The bridge crosses")
    assert rows(playground)[0][1] == "the river"
    playground.page.get_by_label("Hypotheses").fill("0\tthe liver\n-30\tthe river")
    playground.wait_until_idle()
    assert rows(playground)[0][1] == "the liver"
    playground.page.get_by_label("Hypotheses").fill("")
    playground.wait_until_idle()
    assert rows(playground) == []


def test_invalid_number_shows_the_server_error(playground: Playground, api: ApiClient) -> None:
    playground.expected = ("422",)
    rejection = api.post("/rescore", hypotheses=[{"text": "a"}], lm_weight=None).json()["error"]
    playground.open(view="rescore", hypotheses="a", weight="")
    expect(playground.page.get_by_role("alert")).to_have_text(rejection["message"])


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("-1.0 the liver\n-1.2  the river", [["the liver", -1], ["the river", -1.2]]),
        ("−1.5\u00a0the liver\n+2e-1\u3000河", [["the liver", -1.5], ["河", 0.2]]),
        ("  .5 \t a  b ", [["a  b ", 0.5]]),
        ("-3. it", [["it", -3]]),
        ("-1.0 the liver\nthe river", [["the liver", -1], ["the river", None]]),
        # A number may be a word. It is a score before a tab, or if all lines have one.
        ("3 men in a boat\nthe men", [["3 men in a boat", None], ["the men", None]]),
        ("3 men\n4 men", [["men", 3], ["men", 4]]),
        ("3\tmen in a boat\nthe men", [["men in a boat", 3], ["the men", None]]),
        ("42\n-1.5\n- 1 a\n1.2.3 a", [[line, None] for line in ("42", "-1.5", "- 1 a", "1.2.3 a")]),
        ("1e999 a", [["1e999 a", None]]),
        (" \n\n", []),
    ],
)
def test_white_space_separates_score_and_text(
    playground: Playground, text: str, parsed: list[list[object]]
) -> None:
    playground.open(text="The")
    assert playground.page.evaluate(PARSE, text) == parsed


@pytest.mark.parametrize(
    ("hypotheses", "expected"),
    [
        ("the liver\nthe river", "No scores found"),
        ("-1 the liver\nthe river", "found on 1 of 2 lines; the other lines have score 0"),
        ("-1 the liver\n-2\tthe river", "found on all 2 lines"),
        ("", ""),
    ],
)
def test_note_counts_the_scores(playground: Playground, hypotheses: str, expected: str) -> None:
    playground.open(view="rescore", hypotheses=hypotheses)
    note = playground.page.locator("#scores-found")
    expect(note).to_contain_text(expected)
    playground.page.get_by_label("Hypotheses").fill("")
    expect(note).to_be_empty()


def test_spaces_and_tabs_rank_alike(playground: Playground) -> None:
    for separator in ("\t", "  ", " "):
        lines = f"0{separator}the liver\n-30{separator}the river"
        playground.open(view="rescore", hypotheses=lines, context="The bridge crosses")
        assert [row[1] for row in rows(playground)] == ["the liver", "the river"]
        assert [row[3] for row in rows(playground)] == ["0.00", "−30.00"]


def test_tab_leaves_the_field(playground: Playground) -> None:
    playground.open(view="rescore", hypotheses="-1 the liver")
    field = playground.page.get_by_label("Hypotheses")
    field.focus()
    playground.page.keyboard.press("Tab")
    expect(field).not_to_be_focused()
    expect(field).to_have_value("-1 the liver")
    playground.page.keyboard.press("Shift+Tab")
    expect(field).to_be_focused()
