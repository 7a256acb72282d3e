"""Notes and updates that prevent misreading: unknown words and outdated results."""

import pytest
from playwright.sync_api import Route, expect

from tests.playground.browser import Playground
from tests.playground.test_surprise import totals

TOO_LOW = "The perplexity is too low"


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("The Zxqvyk of the old river was in the city", None),  # one of ten
        ("The Zxqvyk of the old river was in London", "11 %"),
        ("Zxqvyk\n" * 3, "100 %"),  # line ends are not words
        ("我们可以使用", "100 %"),
        ("The river", None),
        ("\n\n", None),
    ],
)
def test_many_unknown_words_show_a_note(
    playground: Playground, text: str, share: str | None
) -> None:
    playground.open(text=text)
    note = playground.page.locator(".unknown")
    if share is None:
        expect(note).to_be_hidden()
    else:
        expect(note).to_be_visible()
        expect(note).to_contain_text(f"{share} of the words are unknown")
        expect(note).to_contain_text(TOO_LOW)
    playground.page.locator("#text-text").fill("The river")
    expect(note).to_be_hidden()


def test_unknown_words_in_hypotheses_show_a_note(playground: Playground) -> None:
    playground.open(view="rescore", hypotheses="the river\nthe Zxqvyk\nthe Zxqvyk blorq")
    note = playground.page.locator("#rescore-unknown")
    expect(note).to_contain_text("in 2 of 3 hypotheses")
    playground.page.get_by_label("Hypotheses").fill("the river\nthe liver")
    playground.wait_until_idle()
    expect(note).to_be_hidden()


def test_long_text_hides_outdated_results(playground: Playground) -> None:
    playground.open(text="Zxqvyk blorq")
    page = playground.page
    old = totals(playground)
    assert old["perplexity"]
    routes: list[Route] = []

    def hold_second(route: Route) -> None:
        routes.append(route)
        if len(routes) != 2:
            route.continue_()

    page.route("**/score", hold_second)
    text = "The old river was long.\n" * 600
    page.locator("#text-text").evaluate(
        "(box, text) => { box.value = text; box.dispatchEvent(new Event('input')); }", text
    )
    bar = page.get_by_role("progressbar")
    expect(bar).to_be_visible()
    expect(page.locator(".progress")).to_have_text("Scored 3,024 of 14,400 characters")
    assert bar.evaluate("bar => bar.value / bar.max") == pytest.approx(3024 / 14_400)
    expect(page.locator(".totals dt")).to_have_count(0)
    expect(page.locator(".w", has_text="Zxqvyk")).to_have_count(0)
    for hidden in (".plot", ".more", ".unknown"):
        expect(page.locator(hidden)).to_be_hidden()
    routes[1].continue_()
    playground.wait_until_idle()
    expect(bar).to_be_hidden()
    assert totals(playground)["tokens"] == "4,201"
    expect(page.locator(".plot")).to_be_visible()
    page.unroute("**/score")


def test_appended_word_keeps_the_results(playground: Playground) -> None:
    """Only the last chunk is scored again, and nothing is hidden meanwhile."""
    playground.open(text="The old river was long.\n" * 600)
    page = playground.page
    page.evaluate("""() => {
        window.blanked = 0;
        const progress = document.querySelector(".progress");
        const seen = () => { window.blanked += !progress.hidden; };
        new MutationObserver(seen).observe(progress, { attributes: true });
    }""")
    page.locator("#text-text").press("Control+End")
    page.keyboard.type("And")
    playground.wait_until_idle()
    expect(page.locator(".w", has_text="And")).to_be_visible()
    assert totals(playground)["tokens"] == "4,202"
    assert page.evaluate("window.blanked") == 0
