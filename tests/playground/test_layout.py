"""The layout on narrow screens, and the themes."""

import pytest
from playwright.sync_api import expect

from tests.playground.browser import Playground
from tests.playground.test_page import VIEWS

# Boxes whose content is wider than the box and can be scrolled.
WIDE = """() => [document.documentElement, ...document.querySelectorAll("body *")].filter((box) =>
    box.scrollWidth > box.clientWidth + 1 && box.clientWidth > 0
    && !box.matches(".announcer, thead") && getComputedStyle(box).display !== "inline"
    && (box === document.documentElement || /auto|scroll/.test(getComputedStyle(box).overflowX))
).map((box) => `${box.localName}.${box.className}`)"""


@pytest.mark.parametrize("width", [320, 390])
@pytest.mark.parametrize("colouring", ["surprisal", "rank"])
@pytest.mark.parametrize("view", VIEWS)
def test_narrow_screen_never_scrolls_sideways(
    playground: Playground, view: str, width: int, colouring: str
) -> None:
    page = playground.page
    page.set_viewport_size({"width": width, "height": 640})
    long = "Donaudampfschifffahrtsgesellschaftskapitän" * 3
    texts = {"text": f"A {long} and so on", "text2": long, "words": f"The {long}"}
    lines = f"-1\t{long}\n-12345.678 the river"
    playground.open(**texts, hypotheses=lines, colouring=colouring, context=long)
    playground.tab(view)
    if view == "Surprise":
        page.locator("summary").first.click()
        expect(page.locator(".figures tbody tr").first).to_be_visible()
        page.locator(".w").nth(1).focus()
        page.get_by_role("slider").first.hover()
    assert page.evaluate(WIDE) == []


def test_narrow_ranking_is_stacked(playground: Playground) -> None:
    page = playground.page
    page.set_viewport_size({"width": 390, "height": 800})
    playground.open(view="rescore", hypotheses="-1.0 the liver\n-1.2 the river")
    row = page.locator("#ranking tbody tr").first
    text, total = row.locator(".hypothesis"), row.locator("td[data-name=total]")
    boxes = [part.bounding_box() for part in (text, total)]
    assert all(boxes)
    above, below = (box for box in boxes if box is not None)
    assert above["y"] + above["height"] <= below["y"]
    labels = row.locator("td[data-name]").evaluate_all(
        "cells => cells.map((cell) => getComputedStyle(cell, '::before').content)"
    )
    assert labels == [f'"{n}"' for n in ("total", "score", "log-probability", "tokens", "unknown")]
    caption = page.locator("#ranking caption")
    assert caption.evaluate("box => box.scrollWidth <= box.clientWidth")
    expect(page.get_by_role("table").get_by_role("row")).to_have_count(3)


def test_theme_follows_the_system_by_default(playground: Playground) -> None:
    page = playground.page
    background = "getComputedStyle(document.documentElement).backgroundColor"
    playground.open(text="A text")
    light = page.evaluate(background)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(background)
    assert light != dark
    button = page.get_by_role("button", name="Theme: system")
    button.click()
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    assert page.evaluate(background) == light
    page.reload()
    playground.wait_until_idle()
    assert page.evaluate(background) == light
    page.get_by_role("button", name="Theme: light").click()
    page.get_by_role("button", name="Theme: dark").click()
    assert page.evaluate(background) == dark
