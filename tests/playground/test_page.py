"""The page: its files, headers, accessibility, tabs, links and key."""

import httpx
import pytest
from playwright.sync_api import Browser, expect

from service.http.operations.playground import FILES, PAGE_FOLDER
from tests.playground.browser import Playground, axe_source
from tests.playground.conftest import KEY
from tests.support.api_client import ApiClient, error_json

VIEWS = ["Surprise", "Next word", "Rescore"]


def test_policy_allows_only_own_files(api: ApiClient) -> None:
    response = api.http.get("/")
    policy = response.headers["Content-Security-Policy"]
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
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
def test_files_have_their_content_types(api: ApiClient, name: str, kind: str) -> None:
    response = api.http.get(f"/playground/{name}")
    assert response.content == (PAGE_FOLDER / name).read_bytes()
    assert response.headers["Content-Type"] == kind


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fmetrics.py", "%2Fetc%2Fpasswd", ""])
def test_other_files_are_not_served(api: ApiClient, name: str) -> None:
    error_json(api.http.get(f"/playground/{name}"), 404, "not_found")


def test_page_is_small() -> None:
    assert sum(len(content) for content, _ in FILES.values()) < 120_000


def test_page_needs_no_key(locked_url: str) -> None:
    assert httpx.get(f"{locked_url}/", trust_env=False).status_code == 200
    assert httpx.get(f"{locked_url}/playground/main.js", trust_env=False).status_code == 200


STATES = {
    "filled": {
        "text": "The old riverbank Zxqv,\n<b> and مرحبا",
        "text2": "A second text",
        "words": "The",
        "hypotheses": "-1 the river\nthe Zxqv",
    },
    "by rank": {"text": "He was eaten by a piano of Zxqv", "colouring": "rank", "words": "Zxqv"},
    "empty": {"text": "", "words": "", "hypotheses": ""},
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("view", VIEWS)
def test_page_is_accessible(browser: Browser, url: str, view: str, state: str, scheme: str) -> None:
    """The page has no content security policy here, because axe-core would violate it."""
    options = {"color_scheme": scheme, "bypass_csp": True}
    with browser.new_context(**options) as context:  # type: ignore[arg-type]  # of many types
        playground = Playground(context.new_page(), url)
        playground.open(**STATES[state])
        playground.tab(view)
        if view == "Surprise" and STATES[state]["text"]:
            playground.page.locator(".w").first.focus()
            playground.page.locator("summary").first.click()
            expect(playground.page.locator(".figures tbody tr").first).to_be_visible()
        playground.page.evaluate(axe_source())
        report = playground.page.evaluate("axe.run()")
    violations = [
        (rule["id"], [node["html"] for node in rule["nodes"]])
        for rule in report["violations"]
        if rule["impact"] in ("serious", "critical")
    ]
    assert violations == []


def test_arrow_keys_switch_tabs(playground: Playground) -> None:
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


def test_shared_link_restores_everything(playground: Playground, browser: Browser) -> None:
    playground.open(view="rescore", **TEXTS)
    playground.page.get_by_role("button", name="Share").click()
    link = playground.page.evaluate("location.href")
    with browser.new_context() as context:
        other = context.new_page()
        other.goto(link)
        for name, selector in FIELDS.items():
            expect(other.locator(selector)).to_have_value(TEXTS[name])
        expect(other.locator("#rescore")).to_be_visible()


def test_key_is_requested_and_stored_in_the_tab(browser: Browser, locked_url: str) -> None:
    with browser.new_context() as context:
        playground = Playground(context.new_page(), locked_url, expected=("401",))
        page = playground.page
        playground.open(text="The old river")
        message = page.locator("#key-message")
        rejection = httpx.get(f"{locked_url}/info", trust_env=False).json()["error"]["message"]
        expect(message).to_have_text(rejection)
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
