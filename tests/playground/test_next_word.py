"""Predictions equal `/next-token`, need one small request per keystroke, and can be accepted."""

import re

import pytest
from playwright.sync_api import expect

from tests.playground.browser import Playground
from tests.support.api_client import ApiClient

ROUTE = "/next-token"


def shown(playground: Playground) -> list[str]:
    playground.wait_until_idle()
    return playground.page.locator("#predictions bdi").all_text_contents()


def expected(api: ApiClient, context: str, prefix: str = "") -> list[str]:
    fields = {"prefix": prefix} if prefix else {}
    response = api.next_token(context=context, exclude_special=True, top_k=10, **fields)
    return [token["text"] for token in response["tokens"]]


@pytest.mark.parametrize(
    ("text", "context", "prefix"),
    [
        ("", "", ""),
        ("The capital of ", "The capital of", ""),
        ("The capital of th", "The capital of", "th"),
        ("He said \u201cth", "He said \u201c", "th"),
        ("It is the dog's", "It is the dog", "'s"),
        ("The river.\nIn ", "The river.\nIn", ""),
        ("The 👩‍👧 cas", "The 👩‍👧", "cas"),
        ("The 👩‍👧 caf", "The 👩‍👧 caf", ""),
        ("He was born in London.", "He was born in London.", ""),
        ("The <script>alert(1)</script> ", "The <script>alert(1)</script>", ""),
        ("The zqxj", "The zqxj", ""),
        ("The 我们可以使用", "The 我们可以使用", ""),
    ],
)
def test_predictions_equal_the_api(
    playground: Playground, api: ApiClient, text: str, context: str, prefix: str
) -> None:
    playground.open(view="next", words=text)
    assert shown(playground) == expected(api, context, prefix)


def test_unknown_word_is_continued(playground: Playground, api: ApiClient) -> None:
    playground.open(view="next", words="The Zqxj")
    note = playground.page.locator("#next-note")
    expect(note).to_contain_text("No word in the vocabulary starts with “Zqxj”")
    field = playground.page.locator("#next-text")
    field.press("Tab")
    expect(field).to_have_value(re.compile(r"^The Zqxj ?\S+ $"))


def test_typing_sends_only_new_words(playground: Playground, api: ApiClient) -> None:
    playground.open(view="next", words="It rained in the old city and the river rose. ")
    playground.requests.clear()
    for key in "The ol":
        playground.page.locator("#next-text").press_sequentially(key)
        playground.wait_until_idle()
    sent = playground.request_bodies(ROUTE)
    assert [request["context"] for request in sent] == ["", "", "", "The ", "", ""]
    assert [request.get("prefix") for request in sent] == ["T", "Th", "The", None, "o", "ol"]
    assert all("state" in request for request in sent)
    context = "It rained in the old city and the river rose. The"
    assert shown(playground) == expected(api, context, "ol")
    for _ in "The ol":
        playground.page.keyboard.press("Backspace")
    assert shown(playground) == expected(api, context.removesuffix(" The"))


def test_only_the_latest_request_waits(playground: Playground, api: ApiClient) -> None:
    playground.open(view="next", words="The ")
    page = playground.page
    in_flight = max_in_flight = 0

    def delay(route: object) -> None:
        nonlocal in_flight, max_in_flight
        in_flight += 1
        max_in_flight = max(max_in_flight, in_flight)
        page.wait_for_timeout(100)
        in_flight -= 1
        route.continue_()  # type: ignore[attr-defined]  # playwright's Route

    playground.requests.clear()
    page.route(f"**{ROUTE}", delay)
    page.locator("#next-text").press_sequentially("capital")
    assert shown(playground) == expected(api, "The", "capital")
    page.unroute(f"**{ROUTE}")
    assert max_in_flight == 1
    assert len(playground.request_bodies(ROUTE)) <= len("capital")


def test_tab_inserts_the_marked_word(playground: Playground, api: ApiClient) -> None:
    playground.open(view="next", words="One of th")
    page, field = playground.page, playground.page.locator("#next-text")
    first, second = expected(api, "One of", "th")[:2]
    field.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    expect(field).to_have_value(f"One of {first} ")
    assert shown(playground) == expected(api, f"One of {first}")
    field.fill("One of th")
    playground.wait_until_idle()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(field).to_have_value(f"One of {second} ")


def test_click_inserts_a_word(playground: Playground, api: ApiClient) -> None:
    playground.open(view="next", words="The capital of ")
    words = expected(api, "The capital of")
    playground.page.locator("#predictions button").nth(3).click()
    field = playground.page.locator("#next-text")
    expect(field).to_have_value(f"The capital of {words[3]} ")
    assert shown(playground) == expected(api, f"The capital of {words[3]}")
    expect(field).to_be_focused()


def test_escape_lets_tab_leave_the_field(playground: Playground) -> None:
    playground.open(view="next", words="The ")
    page = playground.page
    page.locator("#next-text").focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.locator("#next-text")).to_have_value("The ")
    expect(page.locator("#next-text")).not_to_be_focused()


def test_prediction_follows_the_cursor(playground: Playground, api: ApiClient) -> None:
    playground.open(view="next", words="One of ships")
    page = playground.page
    page.locator("#next-text").focus()
    for _ in "ships":
        page.keyboard.press("ArrowLeft")
    # The browser reports the cursor position after the keystroke.
    expect(page.locator("#predictions bdi")).to_have_text(expected(api, "One of"))
    playground.wait_until_idle()
    page.keyboard.press("Tab")
    expect(page.locator("#next-text")).to_have_value("One of the ships")
