"""The curve has axes, and the pointer and keys select its words."""

from playwright.sync_api import expect

from tests.playground.browser import Playground
from tests.playground.test_surprise import shown
from tests.support.api_client import ApiClient

TEXT = "He was born in London."


def test_axes_match_the_curve(playground: Playground, api: ApiClient) -> None:
    tokens = api.score_one(text=TEXT, unit="bits")["tokens"]
    axis_end = max(8.0, *(token["cross_entropy"] for token in tokens))
    playground.open(text=TEXT)
    page = playground.page
    svg = page.locator(".plot svg").bounding_box()
    assert svg is not None
    ticks = page.locator(".axis-y span")
    expect(ticks.first).to_have_text("0")
    assert ticks.count() >= 3
    for tick in ticks.all():
        box = tick.bounding_box()
        assert box is not None
        value = float(tick.text_content() or "")
        expected_y = svg["y"] + svg["height"] * (1 - value / axis_end)
        assert abs(box["y"] + box["height"] / 2 - expected_y) < 2
    expect(page.locator(".axis-x span").first).to_have_text("1")
    expect(page.locator(".axis-x span").last).to_have_text(str(len(tokens)))


def test_pointer_selects_the_word_under_it(playground: Playground, api: ApiClient) -> None:
    tokens = api.score_one(text=TEXT, unit="bits")["tokens"]
    playground.open(text=TEXT)
    page = playground.page
    svg = page.locator(".plot svg").bounding_box()
    assert svg is not None
    for index, token in enumerate(tokens[:-1]):
        page.mouse.move(svg["x"] + svg["width"] * (index + 0.5) / len(tokens), svg["y"] + 20)
        readout = f"{token['surface']}{shown(token['cross_entropy'])} bits"
        expect(page.locator(".readout")).to_have_text(readout)
        expect(page.locator(".w.marked")).to_have_text([token["surface"]])
        expect(page.locator(".plot .cursor")).to_have_attribute("d", f"M{index + 0.5} 0V100")
    page.mouse.move(0, 0)
    expect(page.locator(".readout")).to_be_hidden()
    expect(page.locator(".w.marked")).to_have_count(0)


def test_keys_select_words(playground: Playground, api: ApiClient) -> None:
    tokens = api.score_one(text=TEXT, unit="bits")["tokens"]
    playground.open(text=TEXT)
    page = playground.page
    curve = page.get_by_role("slider")
    curve.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    label = f"3: born, {shown(tokens[2]['cross_entropy'])} bits"
    expect(curve).to_have_attribute("aria-valuetext", label)
    expect(curve).to_have_attribute("aria-valuenow", "3")
    expect(page.locator(".readout")).to_contain_text("born")
    page.keyboard.press("End")
    expect(curve).to_have_attribute("aria-valuenow", str(len(tokens)))
    page.keyboard.press("ArrowRight")
    expect(curve).to_have_attribute("aria-valuenow", str(len(tokens)))
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.locator(":focus")).to_have_text("He")
    expect(page.locator(".readout")).to_be_hidden()


def test_click_focuses_the_word(playground: Playground) -> None:
    playground.open(text=TEXT)
    svg = playground.page.locator(".plot svg").bounding_box()
    assert svg is not None
    playground.page.locator(".drawing").click(position={"x": svg["width"] * 4.5 / 7, "y": 30})
    expect(playground.page.locator(":focus")).to_have_text("London")
