"""Texts of ten thousand words: chunks give the results of one request, and times are printed.

Times are not asserted, because the machine that runs the tests may be busy.
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
# Playwright's fill takes Chromium many seconds for long texts.
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
    words_drawn = [draw.choice(WORDS) + (draw.random() < 0.03) * "\n" for _ in range(words)]
    return " ".join(words_drawn)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def print_times(capsys: pytest.CaptureFixture[str], name: str, values: list[float]) -> None:
    quantiles = [
        f"p{share} {percentile(values, share / 100):.0f}" for share in (50, 95, 100) if values
    ]
    with capsys.disabled():
        print(f"\n{name}: {', '.join(quantiles)} ms" if quantiles else f"\n{name}: none")


def test_chunks_equal_one_request(
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
    playground.wait_until_idle()
    assert len(playground.request_bodies("/score")) > 5
    words = playground.words()
    assert [word["text"] for word in words] == [
        text[t["start"] : t["end"]] for t in result["tokens"]
    ]
    assert page.locator(".scored").first.evaluate("box => box.textContent") == text
    found = totals(playground)
    assert found["perplexity"] == shown(result["perplexity"], 1)
    assert found["without unknown"] == shown(result["perplexity_excluding_oov"], 1)
    assert found["bits per word"] == shown(result["cross_entropy_per_word"])
    assert found["tokens"] == f"{result['token_count']:,}"
    print_times(capsys, "scoring 10,000 words, long tasks", page.evaluate("() => window.longTasks"))

    page.evaluate("() => { window.longTasks = []; }")
    print_times(capsys, "scrolling 10,000 words, frames", page.evaluate(SCROLL))
    playground.requests.clear()
    field.press("Control+End")
    field.press_sequentially(" old river", delay=50)
    playground.wait_until_idle()
    print_times(
        capsys, "typing after 10,000 words, long tasks", page.evaluate("() => window.longTasks")
    )
    assert [word["text"] for word in playground.words()][-3:] == ["old", "river", ""]
    assert all(
        "state" in request for request in playground.request_bodies("/score")
    )  # none starts from the beginning


def test_long_line_is_split_between_words(playground: Playground, api: ApiClient) -> None:
    text = long_text(2000).replace("\n", "")
    result = api.score_one(text=text, unit="bits")
    playground.open(text=text)
    assert len(playground.request_bodies("/score")) > 1
    assert totals(playground)["bits total"] == shown(result["total_cross_entropy"])
    assert len(playground.words()) == len(result["tokens"])


def test_time_from_keystroke_to_predictions(
    playground: Playground, capsys: pytest.CaptureFixture[str]
) -> None:
    playground.open(view="next", words=f"{SENTENCE} " * 40)
    page = playground.page
    page.evaluate(WATCH_PREDICTIONS)
    page.locator("#next-text").press_sequentially(f"{SENTENCE} {SENTENCE} ", delay=60)
    playground.wait_until_idle()
    waits = page.evaluate("() => window.waits")
    assert len(waits) == 2 * len(SENTENCE) + 2
    print_times(capsys, "keystroke to predictions (target: p95 of 50 ms)", waits)
    print_times(capsys, "of which the request takes", page.evaluate(REQUESTS))
