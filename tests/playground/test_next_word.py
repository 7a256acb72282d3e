"""Predictions are those of `/next-token`, cost one small request a keystroke, and are accepted."""

import re

import pytest
from playwright.sync_api import expect

from tests.playground.browser import Playground
from tests.support.api_client import ApiClient

ROUTE = "/next-token"


def shown(playground: Playground) -> list[str]:
    playground.settled()
    return playground.page.locator("#predictions bdi").all_text_contents()


def expected(api: ApiClient, context: str, prefix: str = "") -> list[str]:
    fields = {"prefix": prefix} if prefix else {}
    answer = api.next_token(context=context, exclude_special=True, top_k=10, **fields)
    return [token["text"] for token in answer["tokens"]]


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
def test_predictions_are_the_servers(
    playground: Playground, api: ApiClient, text: str, context: str, prefix: str
) -> None:
    playground.open(view="next", words=text)
    assert shown(playground) == expected(api, context, prefix)


def test_a_word_that_cannot_grow_is_followed(playground: Playground, api: ApiClient) -> None:
    playground.open(view="next", words="The Zqxj")
    note = playground.page.locator("#next-note")
    expect(note).to_contain_text("No word of the vocabulary begins with “Zqxj”")
    field = playground.page.locator("#next-text")
    field.press("Tab")
    expect(field).to_have_value(re.compile(r"^The Zqxj ?\S+ $"))


def test_typing_sends_new_words_alone(playground: Playground, api: ApiClient) -> None:
    playground.open(view="next", words="It rained in the old city and the river rose. ")
    playground.requests.clear()
    for key in "The ol":
        playground.page.locator("#next-text").press_sequentially(key)
        playground.settled()
    asked = playground.answers(ROUTE)
    assert [request["context"] for request in asked] == ["", "", "", "The ", "", ""]
    assert [request.get("prefix") for request in asked] == ["T", "Th", "The", None, "o", "ol"]
    assert all("state" in request for request in asked)
    context = "It rained in the old city and the river rose. The"
    assert shown(playground) == expected(api, context, "ol")
    for _ in "The ol":
        playground.page.keyboard.press("Backspace")
    assert shown(playground) == expected(api, context.removesuffix(" The"))


def test_requests_do_not_pile_up_and_the_latest_wins(
    playground: Playground, api: ApiClient
) -> None:
    playground.open(view="next", words="The ")
    page = playground.page
    open_now = most = 0

    def held(route: object) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        page.wait_for_timeout(100)
        open_now -= 1
        route.continue_()  # type: ignore[attr-defined]  # playwright's Route

    playground.requests.clear()
    page.route(f"**{ROUTE}", held)
    page.locator("#next-text").press_sequentially("capital")
    assert shown(playground) == expected(api, "The", "capital")
    page.unroute(f"**{ROUTE}")
    assert most == 1
    assert len(playground.answers(ROUTE)) <= len("capital")


def test_tab_takes_the_marked_word(playground: Playground, api: ApiClient) -> None:
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
    playground.settled()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(field).to_have_value(f"One of {second} ")


def test_a_click_takes_a_word(playground: Playground, api: ApiClient) -> None:
    playground.open(view="next", words="The capital of ")
    words = expected(api, "The capital of")
    playground.page.locator("#predictions button").nth(3).click()
    field = playground.page.locator("#next-text")
    expect(field).to_have_value(f"The capital of {words[3]} ")
    assert shown(playground) == expected(api, f"The capital of {words[3]}")
    expect(field).to_be_focused()


def test_escape_gives_tab_back_to_the_page(playground: Playground) -> None:
    playground.open(view="next", words="The ")
    page = playground.page
    page.locator("#next-text").focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.locator("#next-text")).to_have_value("The ")
    expect(page.locator("#next-text")).not_to_be_focused()


def test_a_word_is_predicted_where_the_cursor_is(playground: Playground, api: ApiClient) -> None:
    playground.open(view="next", words="One of ships")
    page = playground.page
    page.locator("#next-text").focus()
    for _ in "ships":
        page.keyboard.press("ArrowLeft")
    # The browser says after the keystroke that the cursor has moved.
    expect(page.locator("#predictions bdi")).to_have_text(expected(api, "One of"))
    playground.settled()
    page.keyboard.press("Tab")
    expect(page.locator("#next-text")).to_have_value("One of the ships")
