"""Models of pieces and of characters: scripts without spaces, and what may follow their texts."""

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


def list_of(playground: Playground) -> dict[str, str]:
    """Predictions and their percentages, as they are shown."""
    playground.settled()
    rows = playground.page.locator("#predictions li")
    expect(rows).not_to_have_count(0)
    words = rows.locator("bdi").all_text_contents()
    return dict(zip(words, rows.locator(".value").all_text_contents(), strict=True))


def figures(shown: dict[str, str]) -> dict[str, float]:
    return {surface: float(value.removesuffix(" %")) for surface, value in shown.items()}


def probabilities(answer: Json) -> dict[str, float]:
    return {token["surface"]: token["probability"] for token in answer["tokens"]}


def test_chinese_is_coloured_token_by_token(pieces: Playground, pieces_wire: ApiClient) -> None:
    tokens = pieces_wire.score_one(text=CHINESE, unit="bits")["tokens"]
    pieces.open(text=CHINESE)
    assert surfaces(pieces) == [
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
            assert colours(pieces)[token["surface"]] == f"s{step}"


def test_tokens_are_shown_by_a_switch(pieces: Playground) -> None:
    pieces.open(text=CHINESE)
    pieces.page.get_by_label("Show").select_option("tokens")
    expect(pieces.page.locator(".w", has_text="Par").first).to_have_text("Par")
    assert surfaces(pieces)[-5:] == ["在", "Par", "is", "。", ""]
    pieces.page.get_by_label("Show").select_option("words")
    expect(pieces.page.locator(".w", has_text="Par").first).to_have_text("Paris")


def test_a_word_of_pieces_lists_them(pieces: Playground, pieces_wire: ApiClient) -> None:
    tokens = {t["surface"]: t for t in pieces_wire.score_one(text=CHINESE, unit="bits")["tokens"]}
    pieces.open(text=CHINESE)
    pieces.page.locator(".w", has_text="Paris").hover()
    card = pieces.page.locator("#card")
    whole = tokens["Par"]["cross_entropy"] + tokens["is"]["cross_entropy"]
    expect(card.locator(".card-surprise")).to_have_text(f"{shown(whole)} bits")
    listed = card.locator("ul").first.locator("li")
    expect(listed).to_have_text(
        [f"{name}{shown(tokens[name]['cross_entropy'])} bits" for name in ("Par", "is")]
    )


def test_a_whole_word_model_offers_no_tokens(playground: Playground) -> None:
    playground.open(text=CHINESE)
    expect(playground.page.locator("#model")).to_contain_text("14,000 words")
    expect(playground.page.get_by_label("Show")).to_be_hidden()


@pytest.mark.parametrize(
    ("text", "name", "field"),
    [
        (CHINESE, "bits a character", "cross_entropy_per_character"),
        ("川の水", "bits a character", "cross_entropy_per_character"),
        ("น้ำใส", "bits a character", "cross_entropy_per_character"),
        ("the river of 北 ended where others end", "bits a word", "cross_entropy_per_word"),
        ("sum(x) / 2", "bits a word", "cross_entropy_per_word"),
    ],
)
def test_a_figure_per_word_needs_words(
    characters: Playground, characters_wire: ApiClient, text: str, name: str, field: str
) -> None:
    result = characters_wire.score_one(text=text, unit="bits")
    characters.open(text=text)
    found = totals(characters)
    assert found[name] == shown(result[field])
    assert ("bits a word" in found) == (name == "bits a word")


def test_something_follows_unspaced_text(pieces: Playground, pieces_wire: ApiClient) -> None:
    """After 电脑, which is whole and may not grow, the list is that of the text without prefix."""
    answer = pieces_wire.next_token(context="我们可以电脑", exclude_special=True, top_k=200)
    whole = {s: p for s, p in probabilities(answer).items() if not s.startswith("bytes:")}
    expected = dict(list(whole.items())[:10])
    pieces.open(view="next", words="我们可以电脑")
    found = list_of(pieces)
    assert list(found) == list(expected)
    percents = {surface: 100 * probability for surface, probability in expected.items()}
    assert figures(found) == pytest.approx(percents, rel=0.01)


def test_a_piece_that_may_grow_grows_or_ends(pieces: Playground, pieces_wire: ApiClient) -> None:
    """使用 may become 使用者, or be followed by anything: probabilities of both sum to one."""
    ask = {"exclude_special": True, "top_k": 200}
    begun = probabilities(pieces_wire.next_token(context="我们可以", prefix="使用", **ask))
    assert set(begun) == {"使用", "使用者"}
    after = probabilities(pieces_wire.next_token(context="我们可以使用", **ask))
    expected = {s: begun["使用"] * p for s, p in after.items() if not s.startswith("bytes:")}
    expected["者"] = expected.get("者", 0) + begun["使用者"]
    best = sorted(expected, key=lambda surface: -expected[surface])[:10]
    pieces.open(view="next", words="我们可以使用")
    found = list_of(pieces)
    assert list(found) == best
    percents = {surface: 100 * expected[surface] for surface in best}
    assert figures(found) == pytest.approx(percents, rel=0.01)


def test_a_taken_piece_is_added_at_the_end(pieces: Playground) -> None:
    pieces.open(view="next", words="我们可以使用")
    first = next(iter(list_of(pieces)))
    field = pieces.page.locator("#next-text")
    field.press("Tab")
    expect(field).to_have_value(f"我们可以使用{first}")


@pytest.mark.parametrize("text", ["The riverzq", "in London.", "x = f(", "Zxqv", "水"])
def test_a_text_that_cannot_grow_is_followed(pieces: Playground, text: str) -> None:
    pieces.open(view="next", words=text)
    assert len(list_of(pieces)) == 10


def test_half_a_word_is_finished_first(pieces: Playground) -> None:
    pieces.open(view="next", words="in the riv")
    assert set(list_of(pieces)) == {" riv", " rive", " river", " rivers"}
    expect(pieces.page.locator("#next-note")).to_contain_text("begin with")
    pieces.open(view="next", words="riv")  # at the start no space is typed, so none is offered
    assert not [word for word in list_of(pieces) if word.startswith(" riv")]


def test_characters_follow_characters(characters: Playground, characters_wire: ApiClient) -> None:
    answer = characters_wire.next_token(context="我们可以使用", exclude_special=True, top_k=10)
    characters.open(view="next", words="我们可以使用")
    assert len(list_of(characters)) == len(answer["tokens"])
    assert next(iter(list_of(characters))) == answer["tokens"][0]["surface"].replace(" ", "␣")


def test_nothing_unreadable_is_shown(pieces: Playground) -> None:
    """Bytes that are no whole character are left out of the list, and named on the card."""
    pieces.open(view="next", words="我们")
    assert not [word for word in list_of(pieces) if "bytes:" in word or "\ufffd" in word]
    pieces.open(text="火 the rivers 火")
    for index in range(pieces.page.locator(".w").count()):
        pieces.page.locator(".w").nth(index).focus()
        expected = pieces.page.locator("#card .expected bdi")
        expect(expected).not_to_have_count(0)
        for text in expected.all_text_contents():
            assert "bytes:" not in text
            assert "Ġ" not in text
            assert "\ufffd" not in text


@pytest.mark.parametrize("by", ["words", "tokens"])
def test_words_and_tokens_cost_the_same(characters: Playground, by: str) -> None:
    """The surprisals on the curve sum to the total, whatever is coloured as one."""
    text = "def f(x):\n    return 川の水 น้ำใส e\u0301t\n\n 他在Paris "
    characters.open(text=text, by=by)
    total = float(totals(characters)["bits in all"].replace(",", ""))
    card, cost = characters.page.locator("#card .card-surprise"), 0.0
    for index in range(characters.page.locator(".w").count()):
        characters.page.locator(".w").nth(index).focus()
        expect(card).to_be_visible()
        cost += float((card.text_content() or "").removesuffix(" bits"))
    assert cost == pytest.approx(total, abs=0.5)
    assert math.isfinite(cost)
