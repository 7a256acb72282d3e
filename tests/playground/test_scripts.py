"""Subword and character models: scripts without spaces, and predictions in them."""

import math

import pytest
from playwright.sync_api import expect

from tests.playground.browser import Playground
from tests.playground.test_surprise import shown, totals
from tests.support.api_client import ApiClient, Json

CHINESE = "我们可以使用这个模型，他在Paris。"


def colours(playground: Playground) -> dict[str, str]:
    return {word["text"]: word["classes"][1] for word in playground.words()}


def surfaces(playground: Playground) -> list[str]:
    return [word["text"] for word in playground.words()]


def predictions(playground: Playground) -> dict[str, str]:
    """Return the listed predictions with their percentages."""
    playground.wait_until_idle()
    rows = playground.page.locator("#predictions li")
    expect(rows).not_to_have_count(0)
    words = rows.locator("bdi").all_text_contents()
    return dict(zip(words, rows.locator(".value").all_text_contents(), strict=True))


def percentages(shown: dict[str, str]) -> dict[str, float]:
    return {surface: float(value.removesuffix(" %")) for surface, value in shown.items()}


def probabilities(response: Json) -> dict[str, float]:
    return {token["surface"]: token["probability"] for token in response["tokens"]}


def test_chinese_is_coloured_by_token(subwords: Playground, subword_api: ApiClient) -> None:
    tokens = subword_api.score_one(text=CHINESE, unit="bits")["tokens"]
    subwords.open(text=CHINESE)
    assert surfaces(subwords) == [
        "我们",
        "可以",
        "使用",
        "这个",
        "模型",
        "，",
        "他",
        "在",
        "Paris",
        "。",
        "",
    ]
    for token in tokens:
        if token["surface"] in ("我们", "使用", "模型"):
            step = min(8, int(token["cross_entropy"] // 2))
            assert colours(subwords)[token["surface"]] == f"s{step}"


def test_option_shows_tokens(subwords: Playground) -> None:
    subwords.open(text=CHINESE)
    subwords.page.get_by_label("Show").select_option("tokens")
    expect(subwords.page.locator(".w", has_text="Par").first).to_have_text("Par")
    assert surfaces(subwords)[-5:] == ["在", "Par", "is", "。", ""]
    subwords.page.get_by_label("Show").select_option("words")
    expect(subwords.page.locator(".w", has_text="Par").first).to_have_text("Paris")


def test_card_lists_the_tokens_of_a_word(subwords: Playground, subword_api: ApiClient) -> None:
    tokens = {t["surface"]: t for t in subword_api.score_one(text=CHINESE, unit="bits")["tokens"]}
    subwords.open(text=CHINESE)
    subwords.page.locator(".w", has_text="Paris").hover()
    card = subwords.page.locator("#card")
    total = tokens["Par"]["cross_entropy"] + tokens["is"]["cross_entropy"]
    expect(card.locator(".card-surprise")).to_have_text(f"{shown(total)} bits")
    listed = card.locator("ul").first.locator("li")
    expect(listed).to_have_text(
        [f"{name}{shown(tokens[name]['cross_entropy'])} bits" for name in ("Par", "is")]
    )


def test_word_model_offers_no_tokens(playground: Playground) -> None:
    playground.open(text=CHINESE)
    expect(playground.page.locator("#model")).to_contain_text("14,000 words")
    expect(playground.page.get_by_label("Show")).to_be_hidden()


@pytest.mark.parametrize(
    ("text", "name", "field"),
    [
        (CHINESE, "bits per character", "cross_entropy_per_character"),
        ("川の水", "bits per character", "cross_entropy_per_character"),
        ("น้ำใส", "bits per character", "cross_entropy_per_character"),
        ("the river of 北 ended where others end", "bits per word", "cross_entropy_per_word"),
        ("sum(x) / 2", "bits per word", "cross_entropy_per_word"),
    ],
)
def test_value_per_word_needs_spaces(
    characters: Playground, character_api: ApiClient, text: str, name: str, field: str
) -> None:
    result = character_api.score_one(text=text, unit="bits")
    characters.open(text=text)
    found = totals(characters)
    assert found[name] == shown(result[field])
    assert ("bits per word" in found) == (name == "bits per word")


def test_unspaced_text_is_continued(subwords: Playground, subword_api: ApiClient) -> None:
    """No subword is longer than 电脑, so that the list equals that of the text without a prefix."""
    response = subword_api.next_token(context="我们可以电脑", exclude_special=True, top_k=200)
    whole = {s: p for s, p in probabilities(response).items() if not s.startswith("bytes:")}
    expected = dict(list(whole.items())[:10])
    subwords.open(view="next", words="我们可以电脑")
    found = predictions(subwords)
    assert list(found) == list(expected)
    percents = {surface: 100 * probability for surface, probability in expected.items()}
    assert percentages(found) == pytest.approx(percents, rel=0.01)


def test_subword_grows_or_ends(subwords: Playground, subword_api: ApiClient) -> None:
    """使用 may become 使用者, or the next subword follows: both probabilities sum to one."""
    options = {"exclude_special": True, "top_k": 200}
    grown = probabilities(subword_api.next_token(context="我们可以", prefix="使用", **options))
    assert set(grown) == {"使用", "使用者"}
    after = probabilities(subword_api.next_token(context="我们可以使用", **options))
    expected = {s: grown["使用"] * p for s, p in after.items() if not s.startswith("bytes:")}
    expected["者"] = expected.get("者", 0) + grown["使用者"]
    best = sorted(expected, key=lambda surface: -expected[surface])[:10]
    subwords.open(view="next", words="我们可以使用")
    found = predictions(subwords)
    assert list(found) == best
    percents = {surface: 100 * expected[surface] for surface in best}
    assert percentages(found) == pytest.approx(percents, rel=0.01)


def test_accepted_subword_is_appended(subwords: Playground) -> None:
    subwords.open(view="next", words="我们可以使用")
    first = next(iter(predictions(subwords)))
    field = subwords.page.locator("#next-text")
    field.press("Tab")
    expect(field).to_have_value(f"我们可以使用{first}")


@pytest.mark.parametrize("text", ["The riverzq", "in London.", "x = f(", "Zxqv", "水"])
def test_complete_text_is_continued(subwords: Playground, text: str) -> None:
    subwords.open(view="next", words=text)
    assert len(predictions(subwords)) == 10


def test_half_typed_word_is_completed_first(subwords: Playground) -> None:
    subwords.open(view="next", words="in the riv")
    assert set(predictions(subwords)) == {" riv", " rive", " river", " rivers"}
    expect(subwords.page.locator("#next-note")).to_contain_text("start with")
    subwords.open(view="next", words="riv")  # no space is typed, so none is offered
    assert not [word for word in predictions(subwords) if word.startswith(" riv")]


def test_characters_follow_characters(characters: Playground, character_api: ApiClient) -> None:
    response = character_api.next_token(context="我们可以使用", exclude_special=True, top_k=10)
    characters.open(view="next", words="我们可以使用")
    assert len(predictions(characters)) == len(response["tokens"])
    assert next(iter(predictions(characters))) == response["tokens"][0]["surface"].replace(" ", "␣")


def test_partial_characters_are_not_listed(subwords: Playground) -> None:
    """The list omits bytes that are not a whole character, and the card names them."""
    subwords.open(view="next", words="我们")
    assert not [word for word in predictions(subwords) if "bytes:" in word or "\ufffd" in word]
    subwords.open(text="火 the rivers 火")
    for index in range(subwords.page.locator(".w").count()):
        subwords.page.locator(".w").nth(index).focus()
        expected = subwords.page.locator("#card .expected bdi")
        expect(expected).not_to_have_count(0)
        for text in expected.all_text_contents():
            assert "bytes:" not in text
            assert "Ġ" not in text
            assert "\ufffd" not in text


@pytest.mark.parametrize("by", ["words", "tokens"])
def test_words_and_tokens_cost_the_same(characters: Playground, by: str) -> None:
    """The surprisals of all items sum to the total, for words and for tokens."""
    text = "def f(x):\n    return 川の水 น้ำใส e\u0301t\n\n 他在Paris "
    characters.open(text=text, by=by)
    total = float(totals(characters)["bits total"].replace(",", ""))
    card, cost = characters.page.locator("#card .card-surprise"), 0.0
    for index in range(characters.page.locator(".w").count()):
        characters.page.locator(".w").nth(index).focus()
        expect(card).to_be_visible()
        cost += float((card.text_content() or "").removesuffix(" bits"))
    assert cost == pytest.approx(total, abs=0.5)
    assert math.isfinite(cost)
