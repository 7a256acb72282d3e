"""Empty views offer examples, and files can be chosen or dropped."""

import pytest
from playwright.sync_api import Locator, expect

from tests.playground.browser import Playground

VIEWS = {"surprise": "#text-text", "next": "#next-text", "rescore": "#hypotheses"}
FILLED = {"surprise": ".scored .w", "next": "#predictions li", "rescore": "#ranking tbody tr"}
# Playwright cannot drop files. A file is its name and its bytes, or its size.
DROP = """(zone, files) => {
    const data = new DataTransfer();
    for (const [name, bytes] of files) data.items.add(new File([new Uint8Array(bytes)], name));
    const event = { dataTransfer: data, bubbles: true, cancelable: true };
    zone.dispatchEvent(new DragEvent("dragover", event));
    return zone.dispatchEvent(new DragEvent("drop", event));
}"""


def view(playground: Playground, name: str) -> Locator:
    return playground.page.locator(f"#{name}")


@pytest.mark.parametrize("name", VIEWS)
def test_empty_view_offers_examples(playground: Playground, name: str) -> None:
    fields = {"text": "", "words": "", "hypotheses": "", "context": ""}
    playground.open(view=name, **fields)
    chips = view(playground, name).locator(".examples button")
    expect(chips).not_to_have_count(0)
    chips.last.click()
    playground.wait_until_idle()
    field = playground.page.locator(VIEWS[name])
    expect(field).not_to_have_value("")
    expect(chips.first).to_be_hidden()
    expect(playground.page.locator(FILLED[name]).first).to_be_visible()
    field.fill("")
    expect(chips.first).to_be_visible()


def test_empty_text_shows_no_results(playground: Playground) -> None:
    playground.open(text="The river")
    playground.page.locator("#text-text").fill("")
    for removed in (".totals dt", ".scored .w"):
        expect(playground.page.locator(removed)).to_have_count(0)
    for hidden in (".plot", ".more", ".unknown"):
        expect(playground.page.locator(hidden)).to_be_hidden()


def test_subword_models_have_unspaced_examples(subwords: Playground) -> None:
    subwords.open(text="")
    subwords.page.get_by_role("button", name="Chinese").click()
    expect(subwords.page.locator(".w", has_text="使用")).to_have_text("使用")


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("method", ["chosen", "dropped"])
def test_file_fills_the_view(playground: Playground, name: str, method: str) -> None:
    content = "\ufeff-1.5 The old river\r\n-2 The 河 liver\r\n"
    playground.open(view=name, text="", words="", hypotheses="")
    if method == "chosen":
        with playground.page.expect_file_chooser() as chooser:
            view(playground, name).get_by_role("button", name="Open a text file").click()
        chooser.value.set_files(
            {"name": "a.txt", "mimeType": "text/plain", "buffer": content.encode()}
        )
    else:
        file = ["a.txt", list(content.encode())]
        zone = view(playground, name).locator("textarea").first
        assert zone.evaluate(DROP, [file]) is False  # the browser does not open the file
    text = content.removeprefix("\ufeff").replace("\r\n", "\n")
    expected = text if name == "surprise" else text.strip()
    expect(playground.page.locator(VIEWS[name])).to_have_value(expected)
    expect(playground.page.locator(FILLED[name]).first).to_be_visible()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([["a.gz", [0x1F, 0x8B, 8, 0]]], "a.gz is not UTF-8 text."),
        ([["a.txt", [0xFF, 0xFE, 65, 0]]], "a.txt is not UTF-8 text."),
        ([["a.bin", [65, 0, 66]]], "a.bin contains NUL bytes, so it is not a text file."),
        ([["a.txt", 3 << 20]], "a.txt is too large: 3.0 MiB (at most 1 MiB here)."),
        ([["a.txt", [65]], ["b.txt", [66]]], "2 files were dropped."),
    ],
)
def test_file_that_is_not_text_is_rejected(
    playground: Playground, files: list[list[object]], message: str
) -> None:
    playground.open(text="The old river")
    playground.page.locator("#text-text").evaluate(DROP, files)
    expect(playground.page.get_by_role("alert")).to_contain_text(message)
    expect(playground.page.locator("#text-text")).to_have_value("The old river")
    expect(playground.page.locator(".scored .w").first).to_have_text("The")


def test_drop_outside_a_field_keeps_the_page(playground: Playground) -> None:
    playground.open(text="The old river")
    file = ["a.txt", [65]]
    assert playground.page.locator("h1").evaluate(DROP, [file]) is False
    expect(playground.page.locator("#text-text")).to_have_value("The old river")
