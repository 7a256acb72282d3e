"""The page itself: its files and headers, and what holds in every view."""

import httpx
import pytest
from playwright.sync_api import Browser, expect

from service.http.operations.playground import FILES, PAGE_FOLDER
from tests.playground.browser import Playground, axe
from tests.playground.conftest import KEY
from tests.support.api_client import ApiClient, error_json

VIEWS = ["Surprise", "Next word", "Rescore"]


def test_the_page_allows_nothing_but_its_own_files(api: ApiClient) -> None:
    answer = api.http.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("main.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_files_have_their_types(api: ApiClient, name: str, kind: str) -> None:
    answer = api.http.get(f"/playground/{name}")
    assert answer.content == (PAGE_FOLDER / name).read_bytes()
    assert answer.headers["Content-Type"] == kind


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fmetrics.py", "%2Fetc%2Fpasswd", ""])
def test_there_are_no_other_files(api: ApiClient, name: str) -> None:
    error_json(api.http.get(f"/playground/{name}"), 404, "not_found")


def test_the_page_is_small() -> None:
    assert sum(len(content) for content, _ in FILES.values()) < 120_000


def test_the_page_is_open_on_a_server_that_wants_a_key(locked_url: str) -> None:
    assert httpx.get(f"{locked_url}/", trust_env=False).status_code == 200
    assert httpx.get(f"{locked_url}/playground/main.js", trust_env=False).status_code == 200


STATES = {
    "filled": {
        "text": "The old riverbank Zxqv,\n<b> and مرحبا",
        "text2": "A text beside it",
        "words": "The",
        "hypotheses": "-1 the river\nthe Zxqv",
    },
    "by rank": {"text": "He was eaten by a piano of Zxqv", "colouring": "rank", "words": "Zxqv"},
    "empty": {"text": "", "words": "", "hypotheses": ""},
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_serious_keeps_people_out(
    browser: Browser, url: str, view: str, state: str, scheme: str
) -> None:
    """axe-core rewrites what a policy of trusted types forbids, so its page has none."""
    options = {"color_scheme": scheme, "bypass_csp": True}
    with browser.new_context(**options) as context:  # type: ignore[arg-type]  # of many types
        playground = Playground(context.new_page(), url)
        playground.open(**STATES[state])
        playground.tab(view)
        if view == "Surprise" and STATES[state]["text"]:
            playground.page.locator(".w").first.focus()
            playground.page.locator("summary").first.click()
            expect(playground.page.locator(".figures tbody tr").first).to_be_visible()
        playground.page.evaluate(axe())
        found = playground.page.evaluate("axe.run()")
    bad = [
        (rule["id"], [node["html"] for node in rule["nodes"]])
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]
    assert bad == []


# Boxes that hold more than they show, and can be scrolled to it.
WIDE = """() => [document.documentElement, ...document.querySelectorAll("body *")].filter((box) =>
    box.scrollWidth > box.clientWidth + 1 && box.clientWidth > 0 && !box.matches(".spoken, thead")
    && getComputedStyle(box).display !== "inline"
    && (box === document.documentElement || /auto|scroll/.test(getComputedStyle(box).overflowX))
).map((box) => `${box.localName}.${box.className}`)"""


@pytest.mark.parametrize("width", [320, 390])
@pytest.mark.parametrize("colouring", ["surprisal", "rank"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_narrow_screen_never_scrolls_sideways(
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


def test_a_narrow_ranking_stacks(playground: Playground) -> None:
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


def test_the_theme_is_the_systems_until_one_is_chosen(playground: Playground) -> None:
    page = playground.page
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    playground.open(text="A text")
    light = page.evaluate(paper)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(paper)
    assert light != dark
    button = page.get_by_role("button", name="Theme: system")
    button.click()
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    assert page.evaluate(paper) == light
    page.reload()
    playground.settled()
    assert page.evaluate(paper) == light
    page.get_by_role("button", name="Theme: light").click()
    page.get_by_role("button", name="Theme: dark").click()
    assert page.evaluate(paper) == dark


def test_tabs_are_moved_between_with_arrows(playground: Playground) -> None:
    playground.open(text="A text")
    page = playground.page
    page.get_by_role("tab", name="Surprise").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(":focus")).to_have_text("Next word")
    expect(page.locator("#next")).to_be_visible()
    expect(page.locator("#surprise")).to_be_hidden()
    page.keyboard.press("End")
    expect(page.locator("#rescore")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator(":focus")).to_have_text("Surprise")
    expect(page.locator("[role=tab][tabindex='0']")).to_have_count(1)


TEXTS = {
    "text": "Ein „Wort“ & <b>,\n河 #?=+% 👩‍👧",
    "text2": "عربي\te\u0301",
    "unit": "bans",
    "colouring": "rank",
    "by": "tokens",
    "words": "The old riv",
    "context": "A & b",
    "hypotheses": "-1.5\tthe river\nthe liver",
    "weight": "0.5",
    "bonus": "-0.25",
}
FIELDS = {
    "text": "#text-text",
    "text2": "#text-secondtext",
    "unit": "#unit",
    "colouring": "#colouring",
    "by": "#by",
    "words": "#next-text",
    "context": "#context",
    "hypotheses": "#hypotheses",
    "weight": "#lm-weight",
    "bonus": "#length-bonus",
}


def test_a_shared_link_brings_everything_back(playground: Playground, browser: Browser) -> None:
    playground.open(view="rescore", **TEXTS)
    playground.page.get_by_role("button", name="Share").click()
    link = playground.page.evaluate("location.href")
    with browser.new_context() as context:
        other = context.new_page()
        other.goto(link)
        for name, at in FIELDS.items():
            expect(other.locator(at)).to_have_value(TEXTS[name])
        expect(other.locator("#rescore")).to_be_visible()


def test_a_key_is_asked_for_and_kept_in_the_tab_alone(browser: Browser, locked_url: str) -> None:
    with browser.new_context() as context:
        playground = Playground(context.new_page(), locked_url, expected=("401",))
        page = playground.page
        playground.open(text="The old river")
        why = page.locator("#key-why")
        refusal = httpx.get(f"{locked_url}/info", trust_env=False).json()["error"]["message"]
        expect(why).to_have_text(refusal)
        field = page.get_by_label("API key")
        field.fill("a-wrong-key-of-someone")
        field.press("Enter")
        expect(field).to_have_value("")
        expect(page.locator("#key-form")).to_be_visible()
        expect(page.locator(".w")).to_have_count(0)
        field.fill(KEY)
        field.press("Enter")
        expect(page.locator(".w")).to_have_text(["The", "old", "river", ""])
        expect(page.locator("#key-form")).to_be_hidden()
        expect(page.locator("#model")).to_contain_text("starter")
        assert KEY in page.evaluate("JSON.stringify(sessionStorage)")
        assert KEY not in page.evaluate("JSON.stringify(localStorage)")
        assert KEY not in page.evaluate("location.href + document.cookie")
        assert playground.faults == []
