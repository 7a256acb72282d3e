"""Modules of the page, called in the browser: models whose tokens are pieces of words."""

from itertools import pairwise
from typing import Any

import pytest

from tests.playground.browser import Playground
from tests.service.pieces import PIECES

SPLIT = """async ([kind, text]) => {
    const { Splitter } = await import("/playground/splitter.js");
    const { finished, head, prefix } = new Splitter(kind).split(text);
    return [finished, head, prefix];
}"""
ACCEPT = """async ([kind, text, word]) => {
    const { Splitter } = await import("/playground/splitter.js");
    const splitter = new Splitter(kind);
    const { from, inserted } = splitter.accept(text, splitter.split(text).prefix, word);
    return text.slice(0, from) + inserted;
}"""
SPELL = """async (entries) => {
    const { Splitter } = await import("/playground/splitter.js");
    const splitter = new Splitter("pieces");
    return entries.map((entry) => splitter.spelling(entry));
}"""
ITEMS = """async (result) => {
    const { items } = await import("/playground/scoring.js");
    return items(result).map((item) => [item.text, item.oov, item.parts.map((part) => part.text)]);
}"""
RESPELL = """async ([kind, result]) => {
    const { spell } = await import("/playground/scoring.js");
    const { Splitter } = await import("/playground/splitter.js");
    spell(result, new Splitter(kind));
    return result.tokens.map((token) => (token.top ?? []).map((one) => one.text));
}"""
CHUNKS = """async (text) => {
    const { chunks } = await import("/playground/scoring.js");
    return chunks(text);
}"""


@pytest.mark.parametrize(
    ("kind", "text", "parts"),
    [
        ("words", "The old riv", ["The old ", "", "riv"]),
        ("words", "said “hel", ["said ", "“", "hel"]),
        ("words", "the dog's", ["the ", "dog", "'s"]),
        ("words", "in 19", ["in ", "", "19"]),
        ("words", "end.\n", ["end.\n", "", ""]),
        ("words", "e\u0301te\u0301", ["", "", "e\u0301te\u0301"]),
        ("words", "👩‍👧", ["", "👩‍👧", ""]),
        ("spaces", "i do n't", ["i do ", "", "n't"]),
        ("spaces", "mr.", ["", "", "mr."]),
        ("pieces", "The old riv", ["The old", "", " riv"]),
        ("pieces", "The old ", ["The old", "", " "]),
        ("pieces", "The old  riv", ["The old", " ", " riv"]),
        ("pieces", "in London.", ["in", " London", "."]),
        ("pieces", "end\nIt", ["end\n", "", "It"]),
        ("pieces", "end\n ", ["end\n", "", " "]),
        ("characters", "The old riv", ["The old riv", "", ""]),
    ],
)
def test_a_text_is_cut_where_its_model_cuts(
    playground: Playground, kind: str, text: str, parts: list[str]
) -> None:
    playground.open(text="The")
    assert playground.page.evaluate(SPLIT, [kind, text]) == parts
    assert "".join(parts) == text


@pytest.mark.parametrize(
    ("kind", "text", "word", "after"),
    [
        ("words", "The riv", "river", "The river "),
        ("words", "The river ", ".", "The river. "),
        ("words", "The dog ", "'s", "The dog's "),
        ("words", "in London.", "It", "in London. It "),
        ("spaces", "mr.", "mr.", "mr. "),
        ("pieces", "The riv", " river", "The river"),
        ("characters", "The riv", "e", "The rive"),
    ],
)
def test_a_prediction_takes_the_place_of_what_was_typed_of_it(
    playground: Playground, kind: str, text: str, word: str, after: str
) -> None:
    playground.open(text="The")
    assert playground.page.evaluate(ACCEPT, [kind, text, word]) == after


def test_pieces_are_shown_as_they_are_spelled(playground: Playground) -> None:
    whole = {"Ġthe": " the", "æ²³": "河", "Ġ": " ", "<eos>": "<eos>", "!": "!"}
    playground.open(text="The")
    assert playground.page.evaluate(SPELL, list(whole)) == list(whole.values())
    spelled = playground.page.evaluate(SPELL, PIECES.entries)
    expected = [spelling.decode(errors="replace") for spelling in PIECES.vocabulary.spellings]
    assert spelled == expected


@pytest.mark.parametrize(
    ("kind", "spelled"), [("pieces", [" the", "河"]), ("characters", ["Ġthe", "æ²³"])]
)
def test_alternatives_are_spelled_too(
    playground: Playground, kind: str, spelled: list[str]
) -> None:
    alternatives = [{"text": "Ġthe"}, {"text": "æ²³"}]
    result = {"tokens": [{"text": "Ġthe", "top": alternatives}, {"text": "<eos>"}]}
    playground.open(text="The")
    assert playground.page.evaluate(RESPELL, [kind, result]) == [spelled, []]


def test_pieces_are_coloured_as_the_words_they_make(playground: Playground) -> None:
    def token(text: str, start: int, end: int) -> dict[str, Any]:
        return {"text": text, "start": start, "end": end, "oov": False}

    def word(text: str, start: int) -> dict[str, Any]:
        return {"text": text, "start": start, "end": start + len(text)}

    # "a 河x \nb "
    result = {
        "tokens": [
            *[token("a", 0, 1), token("Ġ", 1, 2), token("æ", 2, 3), token("²³", 2, 3)],
            *[token("x", 3, 4), token("Ġ", 4, 5), token("<eos>", 5, 6), token("b", 6, 7)],
            *[token("Ġ", 7, 8), token("<eos>", 8, 8)],
        ],
        "words": [word("a", 0), word("河x", 2), word("b", 6)],
    }
    playground.open(text="The")
    assert playground.page.evaluate(ITEMS, result) == [
        ["a", False, ["a"]],
        ["河x", False, ["Ġ", "æ", "²³", "x"]],
        ["<eos>", False, ["<eos>"]],
        ["b", False, ["Ġ", "b", "Ġ"]],
        ["<eos>", False, ["<eos>"]],
    ]


@pytest.mark.parametrize(
    "text", ["word " * 3000, "A line of it.\n" * 1000, "x" * 20_000, "", "河 " * 9000]
)
def test_chunks_are_the_text_and_end_where_words_end(playground: Playground, text: str) -> None:
    playground.open(text="The")
    found = playground.page.evaluate(CHUNKS, text)
    assert "".join(found) == text
    for chunk, following in pairwise(found):
        assert chunk.endswith("\n") or following.startswith(" ")
