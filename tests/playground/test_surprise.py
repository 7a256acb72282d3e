"""The coloured text shows the results of `/score`."""

import math
import re

import pytest
from playwright.sync_api import expect

from tests.playground.browser import Playground
from tests.support.api_client import ApiClient, Json

TEXTS = {
    "plain": "He was born in London.",
    "emoji": "The 👩‍👧‍👦 family 🏳️‍🌈 and 😀 laughed",
    "combining": "The cafe\u0301 of n\u0303andu\u0301 was old",
    "chinese": "The city 北京 is large。\n河很长",
    "arabic": "كان النهر طويلا\nThe river مدينة was long",
    "newlines": "\n\nThe old\n\n river\n",
    "spaces": "  The \t old   ",
    "markup": "<script>alert(1)</script> & <b>bold</b> <unk> <img src=x onerror=alert(1)>",
    "specials": "the <eos> city <unk>\n",
}
FACTORS = {"bits": 1 / math.log(2), "nats": 1.0, "bans": 1 / math.log(10)}
kinds = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


def shown(value: float, digits: int = 2) -> str:
    places = 0 if abs(value) >= 1000 else min(1, digits) if abs(value) >= 100 else digits
    return f"{value:,.{places}f}".replace("-", "−")


def steps(result: Json, unit: str) -> list[int]:
    bits = [t["cross_entropy"] / FACTORS[unit] / math.log(2) for t in result["tokens"]]
    return [min(8, int(value // 2)) for value in bits]


def totals(playground: Playground, pane: int = 0) -> dict[str, str]:
    playground.wait_until_idle()
    box = playground.page.locator(".totals").nth(pane)
    names, values = box.locator("dt").all_text_contents(), box.locator("dd").all_text_contents()
    return dict(zip(names, values, strict=True))


@kinds
def test_words_have_the_colours_of_their_scores(
    playground: Playground, api: ApiClient, text: str
) -> None:
    result = api.score_one(text=text, unit="bits")
    playground.open(text=text)
    words = playground.words()
    assert [word["text"] for word in words] == [
        text[t["start"] : t["end"]] for t in result["tokens"]
    ]
    assert [word["classes"][1] for word in words] == [f"s{step}" for step in steps(result, "bits")]
    assert ["oov" in word["classes"] for word in words] == [t["oov"] for t in result["tokens"]]
    assert playground.page.locator(".scored").first.evaluate("box => box.textContent") == text


@pytest.mark.parametrize("unit", FACTORS)
def test_totals_equal_the_api(playground: Playground, api: ApiClient, unit: str) -> None:
    text = "The Zxqvyk of London,\nand the river"
    result = api.score_one(text=text, unit=unit)
    playground.open(text=text, unit=unit)
    assert totals(playground) == {
        "perplexity": shown(result["perplexity"], 1),
        "without unknown": shown(result["perplexity_excluding_oov"], 1),
        f"{unit} total": shown(result["total_cross_entropy"]),
        f"{unit} per token": shown(result["mean_cross_entropy"]),
        f"{unit} per word": shown(result["cross_entropy_per_word"]),
        "tokens": str(result["token_count"]),
        "unknown": str(result["oov_count"]),
    }


def test_card_shows_values_on_hover_and_focus(playground: Playground, api: ApiClient) -> None:
    text = "He was 👩‍👧 born in London."
    result = api.score_one(text=text, unit="bits", details=True, top=5)
    playground.open(text=text)
    page = playground.page
    index = next(i for i, t in enumerate(result["tokens"]) if t["text"] == "London")
    token = result["tokens"][index]
    card = page.locator("#card")
    page.locator(".w").nth(index).hover()
    expect(card.locator(".card-title bdi")).to_have_text("London")
    facts = card.locator("dd")
    expect(facts.nth(1)).to_have_text(f"{token['rank']:,} of 14,000")
    expect(facts.nth(2)).to_have_text(f"{token['entropy']:.2f} bits")
    probability = (facts.first.text_content() or "").removesuffix(" %")
    assert float(probability) == pytest.approx(100 * math.exp(token["logprob"]), rel=0.01)
    names = {"<eos>": "end of line", "<unk>": "an unknown word"}
    listed = [names.get(top["text"], top["text"]) for top in token["top"]]
    assert "an unknown word" in listed
    expect(card.locator(".expected bdi")).to_have_text(listed)
    page.mouse.move(0, 0)
    expect(card).to_be_hidden()
    page.locator(".w").nth(index).focus()
    expect(card).to_be_visible()
    values = re.escape(f"London: {token['cross_entropy']:.2f} bits; probability ")
    rank = re.escape(f"rank {token['rank']};")
    expect(page.locator("#announcer")).to_have_text(re.compile(f"^{values}.*{rank}"))
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()


def test_arrow_keys_move_between_words(playground: Playground) -> None:
    playground.open(text="The old river\nكان النهر طويلا")
    page = playground.page
    focused = page.locator(":focus")
    page.locator(".w").first.focus()
    page.keyboard.press("ArrowRight")
    expect(focused).to_have_text("old")
    page.keyboard.press("ArrowLeft")
    expect(focused).to_have_text("The")
    page.keyboard.press("ArrowDown")
    expect(focused).not_to_have_text("The")
    assert int(focused.get_attribute("data-index") or 0) > 3  # in the next line
    page.locator(".w").nth(4).focus()
    page.keyboard.press("ArrowLeft")  # in right-to-left text, left is forward
    expect(focused).to_have_text("النهر")
    page.keyboard.press("End")
    expect(focused).to_have_attribute("aria-label", "end of text")
    page.keyboard.press("Home")
    expect(focused).to_have_text("The")
    expect(page.locator(".w[tabindex='0']")).to_have_count(1)


def test_curve_passes_through_every_word(playground: Playground, api: ApiClient) -> None:
    text = "He was born in London."
    values = [t["cross_entropy"] for t in api.score_one(text=text, unit="bits")["tokens"]]
    playground.open(text=text)
    path = playground.page.locator(".plot .curve").get_attribute("d")
    points = [float(y) for y in re.findall(r" ([\d.]+)", path or "")]
    axis_end = max(8.0, *values)
    assert points == pytest.approx([100 * (1 - value / axis_end) for value in values], abs=0.01)


def test_two_texts_share_one_axis(playground: Playground, api: ApiClient) -> None:
    texts = ["The river was long.", "The Zxqvyk was piano piano piano."]
    playground.open(text=texts[0])
    page = playground.page
    page.get_by_role("button", name="Compare two texts").click()
    page.get_by_label("Second text").fill(texts[1])
    playground.wait_until_idle()
    for pane, text in enumerate(texts):
        result = api.score_one(text=text, unit="bits")
        assert totals(playground, pane)["perplexity"] == shown(result["perplexity"], 1)
    axes = [
        page.locator(".axis-y").nth(pane).locator("span").all_text_contents() for pane in (0, 1)
    ]
    assert axes[0] == axes[1] != []
    left, right = (page.locator(".text").nth(pane).bounding_box() for pane in (0, 1))
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]


def test_lines_have_their_own_direction(playground: Playground) -> None:
    playground.open(text=TEXTS["arabic"])
    directions = playground.page.locator(".line").evaluate_all(
        "lines => lines.map((line) => getComputedStyle(line).direction)"
    )
    assert directions == ["rtl", "ltr"]


def test_markup_is_not_parsed(playground: Playground) -> None:
    playground.open(text=TEXTS["markup"])
    expect(playground.page.locator(".scored .w").first).to_be_visible()
    expect(playground.page.locator(".scored script, .scored img, .scored b")).to_have_count(0)


def test_table_has_every_word(playground: Playground, api: ApiClient) -> None:
    text = "He was born in London."
    result = api.score_one(text=text, unit="bits", details=True)
    playground.open(text=text)
    playground.page.locator("summary").first.click()
    rows = playground.page.locator(".figures tbody tr")
    # The browser reports that the details are open some time after the click.
    expect(rows).to_have_count(len(result["tokens"]))
    values = rows.locator("td:first-of-type")
    expect(values).to_have_text([shown(token["cross_entropy"]) for token in result["tokens"]])


def test_server_error_is_shown(playground: Playground, api: ApiClient) -> None:
    playground.expected = ("422",)
    rejection = api.post("/score", text="The", top=1000).json()["error"]["message"]
    page = playground.page
    playground.open(text="The")
    page.route("**/score", lambda route: route.continue_(post_data={"text": "The", "top": 1000}))
    page.get_by_label("Text", exact=True).fill("The old")
    alert = page.get_by_role("alert")
    expect(alert).to_have_text(rejection)
    page.unroute("**/score")
    page.get_by_label("Text", exact=True).fill("The old river")
    expect(alert).to_be_hidden()
    expect(page.locator(".scored .w")).to_have_text(["The", "old", "river", ""])
