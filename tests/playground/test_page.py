"""The page itself: its files and headers, and what holds in every view."""

import httpx
import pytest
from playwright.sync_api import Browser

from service.http.routes.playground import FILES, FOLDER
from tests.playground.browser import Playground, axe
from tests.playground.conftest import KEY
from tests.service.wire import Wire, error

VIEWS = ["Surprise", "Next word", "Rescore"]


def test_the_page_allows_nothing_but_its_own_files(wire: Wire) -> None:
    answer = wire.http.get("/")
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
def test_files_have_their_types(wire: Wire, name: str, kind: str) -> None:
    answer = wire.http.get(f"/playground/{name}")
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["Content-Type"] == kind


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fmetrics.py", "%2Fetc%2Fpasswd", ""])
def test_there_are_no_other_files(wire: Wire, name: str) -> None:
    error(wire.http.get(f"/playground/{name}"), 404, "not_found")


def test_the_page_is_small() -> None:
    assert sum(len(content) for content, _ in FILES.values()) < 100_000


def test_the_page_is_open_on_a_server_that_wants_a_key(locked_url: str) -> None:
    assert httpx.get(f"{locked_url}/", trust_env=False).status_code == 200
    assert httpx.get(f"{locked_url}/playground/main.js", trust_env=False).status_code == 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_nothing_serious_keeps_people_out(
    browser: Browser, url: str, view: str, scheme: str
) -> None:
    """axe-core rewrites what a policy of trusted types forbids, so its page has none."""
    options = {"color_scheme": scheme, "bypass_csp": True}
    with browser.new_context(**options) as context:  # type: ignore[arg-type]  # of many types
        playground = Playground(context.new_page(), url)
        playground.open(
            text="The old riverbank Zxqv,\n<b> and مرحبا", text2="A text beside it", words="The"
        )
        playground.tab(view)
        if view == "Surprise":
            playground.page.locator(".w").first.focus()
            playground.page.locator("summary").first.click()
        playground.page.evaluate(axe())
        found = playground.page.evaluate("axe.run()")
    bad = [
        (rule["id"], [node["html"] for node in rule["nodes"]])
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]
    assert bad == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_narrow_screen_never_scrolls_sideways(playground: Playground, view: str) -> None:
    playground.page.set_viewport_size({"width": 320, "height": 640})
    long = "Donaudampfschifffahrtsgesellschaftskapitän" * 3
    playground.open(
        text=f"A {long} and so on", text2=long, words=f"The {long}", hypotheses=f"-1\t{long}"
    )
    playground.tab(view)
    if view == "Surprise":
        playground.page.locator(".w").nth(1).focus()
    width = playground.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 320


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
    assert page.locator(":focus").text_content() == "Next word"
    assert page.locator("#next").is_visible()
    assert not page.locator("#surprise").is_visible()
    page.keyboard.press("End")
    assert page.locator("#rescore").is_visible()
    page.keyboard.press("ArrowRight")
    assert page.locator(":focus").text_content() == "Surprise"
    assert page.locator("[role=tab][tabindex='0']").count() == 1


TEXTS = {
    "text": "Ein „Wort“ & <b>,\n河 #?=+% 👩‍👧",
    "text2": "عربي\te\u0301",
    "unit": "bans",
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
        assert {name: other.locator(at).input_value() for name, at in FIELDS.items()} == TEXTS
        assert other.locator("#rescore").is_visible()


def test_a_key_is_asked_for_and_kept_in_the_tab_alone(browser: Browser, locked_url: str) -> None:
    with browser.new_context() as context:
        playground = Playground(context.new_page(), locked_url, expected=("401",))
        page = playground.page
        playground.open(text="The old river")
        why = page.locator("#key-why")
        why.wait_for()
        refusal = httpx.get(f"{locked_url}/info", trust_env=False).json()["error"]["message"]
        assert why.text_content() == refusal
        field = page.get_by_label("API key")
        field.fill("a-wrong-key-of-someone")
        field.press("Enter")
        page.locator("#key-form").wait_for()
        assert playground.words() == []
        field.fill(KEY)
        field.press("Enter")
        page.locator(".w").first.wait_for()
        assert [word["text"] for word in playground.words()] == ["The", "old", "river", ""]
        assert not page.locator("#key-form").is_visible()
        assert page.locator("#model").text_content() != ""
        assert KEY in page.evaluate("JSON.stringify(sessionStorage)")
        assert KEY not in page.evaluate("JSON.stringify(localStorage)")
        assert KEY not in page.evaluate("location.href + document.cookie")
        assert playground.faults == []
