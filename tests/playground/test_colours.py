"""The colouring by rank, in the four steps of GLTR."""

import pytest
from playwright.sync_api import expect

from tests.playground.browser import Playground
from tests.support.api_client import ApiClient

TEXT = "The ship was eaten by a piano of Zxqv in Scotland, 1897."


def bucket(rank: int) -> str:
    return "r0" if rank <= 10 else "r1" if rank <= 100 else "r2" if rank <= 1000 else "r3"


def test_words_are_coloured_by_rank(playground: Playground, api: ApiClient) -> None:
    tokens = api.score_one(text=TEXT, details=True)["tokens"]
    expected = [bucket(token["rank"]) for token in tokens]
    assert set(expected) == {"r0", "r1", "r2", "r3"}
    playground.open(text=TEXT)
    playground.page.get_by_label("Colour by").select_option("rank")
    expect(playground.page.locator(".w.r0").first).to_be_visible()
    playground.wait_until_idle()
    assert [word["classes"][1] for word in playground.words()] == expected
    playground.page.get_by_label("Colour by").select_option("surprisal")
    expect(playground.page.locator(".w.r0")).to_have_count(0)


def test_legend_follows_the_colouring(playground: Playground) -> None:
    playground.open(text=TEXT, colouring="rank")
    names = ["top 10", "top 100", "top 1,000", "beyond"]
    expect(playground.page.locator("#legend .swatch")).to_have_text(names)
    expect(playground.page.locator("#legend")).to_have_attribute(
        "aria-label", f"Colours by rank: {', '.join(names)}"
    )
    for index in range(4):
        swatch, word = f"#legend .r{index}", f".w.r{index}"
        colour = "element => getComputedStyle(element).backgroundColor"
        shown = playground.page.locator(word).first.evaluate(colour)
        assert playground.page.locator(swatch).evaluate(colour) == shown


@pytest.mark.parametrize("by", ["words", "tokens"])
def test_word_has_its_worst_rank(subwords: Playground, subword_api: ApiClient, by: str) -> None:
    tokens = subword_api.score_one(text="他在Paris", details=True)["tokens"]
    ranks = {token["surface"]: token["rank"] for token in tokens}
    subwords.open(text="他在Paris", by=by, colouring="rank")
    found = {word["text"]: word["classes"][1] for word in subwords.words()}
    if by == "words":
        assert found["Paris"] == bucket(max(ranks["Par"], ranks["is"]))
    else:
        assert (found["Par"], found["is"]) == (bucket(ranks["Par"]), bucket(ranks["is"]))
