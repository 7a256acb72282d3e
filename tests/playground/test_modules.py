"""Splitting of texts by the page's modules, called in the browser."""

from itertools import pairwise

import pytest

from tests.playground.browser import Playground

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
CHUNKS = """async ([text, kind]) => {
    const { toChunks } = await import("/playground/scorer.js");
    return toChunks(text, kind);
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
        ("whitespace", "i do n't", ["i do ", "", "n't"]),
        ("whitespace", "mr.", ["", "", "mr."]),
        ("subwords", "The old riv", ["The old", "", " riv"]),
        ("subwords", "The old ", ["The old", "", " "]),
        ("subwords", "The old  riv", ["The old ", "", " riv"]),
        ("subwords", "The old   ", ["The old", "  ", " "]),
        ("subwords", "in London.", ["in London", "", "."]),
        ("subwords", "他说：“河不", ["他说：“", "", "河不"]),
        ("subwords", "end\nIt", ["end\n", "", "It"]),
        ("subwords", "end\n ", ["end\n", "", " "]),
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
        ("whitespace", "mr.", "mr.", "mr. "),
        ("subwords", "The riv", " river", "The river"),
        ("characters", "The riv", "e", "The rive"),
    ],
)
def test_prediction_replaces_the_half_typed_word(
    playground: Playground, kind: str, text: str, word: str, after: str
) -> None:
    playground.open(text="The")
    assert playground.page.evaluate(ACCEPT, [kind, text, word]) == after


@pytest.mark.parametrize(
    "text", ["word " * 3000, "A line of it.\n" * 1000, "x" * 20_000, "", "河 " * 9000]
)
def test_chunks_end_between_words(playground: Playground, text: str) -> None:
    playground.open(text="The")
    found = playground.page.evaluate(CHUNKS, [text, "words"])
    assert "".join(found) == text
    for chunk, following in pairwise(found):
        assert chunk.endswith("\n") or following.startswith(" ")


@pytest.mark.parametrize("kind", ["words", "char", "bpe", "unigram"])
def test_unspaced_chunks_end_with_sentences(playground: Playground, kind: str) -> None:
    text = "河水从山上流下来，一年四季都很清。“他来。”她说。" * 800
    playground.open(text="The")
    found = playground.page.evaluate(CHUNKS, [text, kind])
    assert "".join(found) == text
    assert len(found) > 4
    assert all(chunk[-1] in "。”" for chunk in found)
    assert all(chunk[0] not in "。”" for chunk in found)


def test_whitespace_tokenizers_keep_sentences_whole(playground: Playground) -> None:
    text = "河水从山上流下来。" * 2000
    playground.open(text="The")
    assert playground.page.evaluate(CHUNKS, [text, "whitespace"]) == [text]
