"""Items: words in scripts with spaces, tokens in others, or tokens everywhere."""

from typing import Any

import pytest

from tests.playground.browser import Playground

ITEMS = """async ([result, text, by]) => {
    const { toItems } = await import("/playground/items.js");
    const points = Array.from(text);
    return toItems(result, points, by).map((item) => [
        points.slice(item.start, item.end).join(""),
        item.parts.length,
        item.cross_entropy,
    ]);
}"""
LATIN, THAI, EMOJI = "e\u0301te\u0301", "น้ำใส", "👩\u200d👧"


def result(text: str, tokens: list[str]) -> dict[str, Any]:
    """Return a result of `/score` in which token number n costs 2 to the n."""
    rows: list[dict[str, Any]] = []
    start = 0
    for n, token in enumerate(tokens):
        end = start + len(
            "\n" if token == "<eos>" and start < len(text) else token.removeprefix("<eos>")
        )
        rows.append({"text": token, "start": start, "end": end, "oov": False, "logprob": -(2.0**n)})
        start = end
    assert start == len(text)
    for row in rows:
        row["cross_entropy"] = -row["logprob"]
    return {"tokens": rows, "words": []}


CASES = {
    # text: (tokens, words with their number of tokens, token items with their number of tokens)
    "The river's end.": (
        ["The", " riv", "er", "'s", " ", "end", ".", "<eos>"],
        [("The", 1), ("river's", 3), ("end", 2), (".", 1), ("", 1)],
        [("The", 1), ("riv", 1), ("er", 1), ("'s", 1), (" ", 1), ("end", 1), (".", 1), ("", 1)],
    ),
    "他在Paris，you": (
        ["他", "在", "Par", "is", "，", "yo", "u", "<eos>"],
        [("他", 1), ("在", 1), ("Paris", 2), ("，", 1), ("you", 2), ("", 1)],
        [(t, 1) for t in ("他", "在", "Par", "is", "，", "yo", "u", "")],
    ),
    "カメラを2台。": (
        ["カメラ", "を", "2", "台", "。", "<eos>"],
        [("カメラ", 1), ("を", 1), ("2", 1), ("台", 1), ("。", 1), ("", 1)],
        [("カメラ", 1), ("を", 1), ("2", 1), ("台", 1), ("。", 1), ("", 1)],
    ),
    # A letter and its marks are one visible character, but several tokens.
    THAI: (
        [*THAI, "<eos>"],
        [("น้ำ", 3), ("ใ", 1), ("ส", 1), ("", 1)],
        [("น้ำ", 3), ("ใ", 1), ("ส", 1), ("", 1)],
    ),
    LATIN: (
        [*LATIN, "<eos>"],
        [(LATIN, 5), ("", 1)],
        [("e\u0301", 2), ("t", 1), ("e\u0301", 2), ("", 1)],
    ),
    EMOJI: ([*EMOJI, "<eos>"], [(EMOJI, 3), ("", 1)], [(EMOJI, 3), ("", 1)]),
    "f(number_of)": (
        ["f", "(", "number", "_", "of", ")", "<eos>"],
        [("f", 1), ("(", 1), ("number_of", 3), (")", 1), ("", 1)],
        [(t, 1) for t in ("f", "(", "number", "_", "of", ")", "")],
    ),
    "a \n  b ": (
        ["a", " ", "<eos>", " ", " b", " ", "<eos>"],
        [("a", 2), ("\n", 1), ("b", 3), ("", 1)],
        [("a", 1), (" ", 1), ("\n", 1), (" ", 1), ("b", 1), (" ", 1), ("", 1)],
    ),
    " ": ([" ", "<eos>"], [(" ", 1), ("", 1)], [(" ", 1), ("", 1)]),
}


@pytest.mark.parametrize("by", ["words", "tokens"])
@pytest.mark.parametrize("text", CASES)
def test_items_follow_the_script(playground: Playground, text: str, by: str) -> None:
    tokens, words, single = CASES[text]
    playground.open(text="The")
    found = playground.page.evaluate(ITEMS, [result(text, tokens), text, by])
    assert [(surface, count) for surface, count, _ in found] == (words if by == "words" else single)
    # Each token is in exactly one item, because the values are sums of different powers of two.
    assert sum(cost for *_, cost in found) == 2 ** len(tokens) - 1


def test_tokens_of_one_character_are_one_item(playground: Playground) -> None:
    spans = {"a": (0, 1), "æ": (1, 2), "²³": (1, 2), "x": (2, 3), "<eos>": (3, 3)}
    tokens = [
        {"text": text, "start": s, "end": e, "oov": False, "logprob": -1, "cross_entropy": 1}
        for text, (s, e) in spans.items()
    ]
    playground.open(text="The")
    for by in ("words", "tokens"):
        found = playground.page.evaluate(ITEMS, [{"tokens": tokens, "words": []}, "a河x", by])
        assert found == [["a", 1, 1], ["河", 2, 2], ["x", 1, 1], ["", 1, 1]]


def test_word_tokens_are_items(playground: Playground) -> None:
    words = result("e\u0301t 河", ["e\u0301t", " ", "河", "<eos>"])
    del words["words"]
    playground.open(text="The")
    found = playground.page.evaluate(ITEMS, [words, "e\u0301t 河", "words"])
    assert [surface for surface, *_ in found] == ["e\u0301t", " ", "河", ""]
