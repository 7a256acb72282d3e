"""Ten thousand words: the figures of one request, put together from chunks; and how fast it is.

Times are printed and never asserted: the machine that runs the tests may be busy.
"""

import random
from typing import Any

import pytest

from tests.playground.browser import Playground
from tests.playground.test_surprise import shown, totals
from tests.support.api_client import ApiClient

WORDS = [
    *["the", "The", "of", "river", "city", "ship", "and", "was", "old", ",", ".", "in", "born"],
    *["河", "👩\u200d👧", "مدينة", "Zxqvyk", "London", "by"],
]
SENTENCE = "The ship was built in London in the old days and it sank in a storm off the coast."

WATCH_LONG_TASKS = """() => {
    window.longTasks = [];
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.longTasks.push(entry.duration);
    }).observe({ type: "longtask" });
}"""
WATCH_PREDICTIONS = """() => {
    window.waits = [];
    const typed = [];
    const list = document.getElementById("predictions");
    const seen = () => {
        const now = performance.now();
        while (typed.length && typed[0].characters <= Number(list.dataset.characters)) {
            window.waits.push(now - typed.shift().then);
        }
    };
    new MutationObserver(seen).observe(list, { attributes: true });
    const field = document.getElementById("next-text");
    const began = (event) => {
        typed.push({ then: event.timeStamp, characters: field.value.length });
    };
    field.addEventListener("input", began, true);
}"""
# Playwright's fill types, which takes Chromium many seconds for as much.
PASTE = """(field, text) => {
    field.value = text;
    field.dispatchEvent(new Event("input"));
}"""
REQUESTS = """() => performance.getEntriesByType("resource")
    .filter((entry) => entry.name.endsWith("/next-token")).map((entry) => entry.duration)"""
SCROLL = """async () => {
    const box = document.querySelector(".scored");
    const frames = [];
    let last = performance.now();
    for (let at = 0; at < 60; at += 1) {
        box.scrollTop = (box.scrollHeight * at) / 60;
        await new Promise(requestAnimationFrame);
        frames.push(performance.now() - last);
        last = performance.now();
    }
    return frames;
}"""


def long_text(words: int) -> str:
    draw = random.Random(1)
    found = [draw.choice(WORDS) + (draw.random() < 0.03) * "\n" for _ in range(words)]
    return " ".join(found)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def say(capsys: pytest.CaptureFixture[str], name: str, values: list[float]) -> None:
    told = [f"p{share} {percentile(values, share / 100):.0f}" for share in (50, 95, 100) if values]
    with capsys.disabled():
        print(f"\n{name}: {', '.join(told)} ms" if told else f"\n{name}: none")


def test_ten_thousand_words_are_those_of_one_request(
    playground: Playground, api: ApiClient, capsys: pytest.CaptureFixture[str]
) -> None:
    text = long_text(10_000)
    result: dict[str, Any] = api.score_one(text=text, unit="bits")
    playground.open(text="The")
    page = playground.page
    page.evaluate(WATCH_LONG_TASKS)
    playground.requests.clear()
    field = page.get_by_label("Text", exact=True)
    field.evaluate(PASTE, text)
    playground.settled()
    assert len(playground.answers("/score")) > 5
    words = playground.words()
    assert [word["text"] for word in words] == [
        text[t["start"] : t["end"]] for t in result["tokens"]
    ]
    assert page.locator(".scored").first.evaluate("box => box.textContent") == text
    found = totals(playground)
    assert found["perplexity"] == shown(result["perplexity"], 1)
    assert found["without unknown"] == shown(result["perplexity_excluding_oov"], 1)
    assert found["bits a word"] == shown(result["cross_entropy_per_word"])
    assert found["tokens"] == f"{result['token_count']:,}"
    say(capsys, "scoring 10,000 words, long tasks", page.evaluate("() => window.longTasks"))

    page.evaluate("() => { window.longTasks = []; }")
    say(capsys, "scrolling 10,000 words, frames", page.evaluate(SCROLL))
    playground.requests.clear()
    field.press("Control+End")
    field.press_sequentially(" old river", delay=50)
    playground.settled()
    say(capsys, "typing after 10,000 words, long tasks", page.evaluate("() => window.longTasks"))
    assert [word["text"] for word in playground.words()][-3:] == ["old", "river", ""]
    assert all(
        "state" in request for request in playground.answers("/score")
    )  # none from the start


def test_a_line_without_end_is_cut_between_words(playground: Playground, api: ApiClient) -> None:
    text = long_text(2000).replace("\n", "")
    result = api.score_one(text=text, unit="bits")
    playground.open(text=text)
    assert len(playground.answers("/score")) > 1
    assert totals(playground)["bits in all"] == shown(result["total_cross_entropy"])
    assert len(playground.words()) == len(result["tokens"])


def test_from_a_keystroke_to_its_predictions(
    playground: Playground, capsys: pytest.CaptureFixture[str]
) -> None:
    playground.open(view="next", words=f"{SENTENCE} " * 40)
    page = playground.page
    page.evaluate(WATCH_PREDICTIONS)
    page.locator("#next-text").press_sequentially(f"{SENTENCE} {SENTENCE} ", delay=60)
    playground.settled()
    waits = page.evaluate("() => window.waits")
    assert len(waits) == 2 * len(SENTENCE) + 2
    say(capsys, "keystroke to predictions (wanted: p95 of 50 ms)", waits)
    say(capsys, "of it a request, from the page and back", page.evaluate(REQUESTS))
