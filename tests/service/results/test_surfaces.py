"""Surfaces of tokens in a text, and of tokens that may follow it."""

import asyncio

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.inference.engine import Decoded
from service.language_model import LanguageModel
from service.results.surfaces import NextSurfaces, token_spans
from service.results.text_score import TextScore, text_score
from service.results.token_rows import RowOptions, token_rows
from service.runtime.background_thread import BackgroundThread
from service.runtime.metrics import Metrics
from service.text.request_encoder import RequestEncoder
from service.text.token_starts import decoded_token_starts
from service.text.tokenizer import Tokenizer
from tests.support.api_client import ApiClient
from tests.support.subword_tokenizers import BYTE_PAIRS, CHARACTERS, SUBWORD

kinds = pytest.mark.parametrize("tokenizer", SUBWORD.values(), ids=SUBWORD)
texts = st.text(max_size=30) | st.text("the cat河汉é👩\n\r", max_size=30)


def scored(tokenizer: Tokenizer, text: str | list[int], *, eos: bool = True) -> TextScore:
    """Score a text, or ids, with the log-probability 0 for each token."""
    reader = RequestEncoder(tokenizer, Metrics(), BackgroundThread(), 100_000)
    if isinstance(text, str):
        (passage,) = asyncio.run(reader.encode_texts([text]))
    else:
        passage = asyncio.run(reader.decode_ids(text, "token_ids"))
    ids = np.append(passage.ids, tokenizer.end_id) if eos else passage.ids
    decoded = Decoded(np.zeros(len(ids), np.float32))
    return text_score(passage, ids, decoded, tokenizer.unknown_id, None)


def surfaces_of(tokenizer: Tokenizer, score: TextScore) -> list[str]:
    text, starts, ends = token_spans(tokenizer, score)
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def ids_of(tokenizer: Tokenizer, *entries: str) -> list[int]:
    return [tokenizer.entries.index(entry) for entry in entries]


@kinds
@given(text=texts)
@example(text=" 我们👩‍👩‍👧 e\u0301\r\n<eos>a\n\n")
def test_surfaces_concatenate_to_the_text(tokenizer: Tokenizer, text: str) -> None:
    """A character that several tokens cover counts once."""
    score = scored(tokenizer, text)
    assert score.starts is not None
    made = ""
    for surface, start in zip(surfaces_of(tokenizer, score), score.starts, strict=True):
        assert text.startswith(surface, start)
        made += surface[len(made) - start :]
    assert made == text


@pytest.mark.parametrize(
    ("tokenizer", "text", "surfaces"),
    [
        (BYTE_PAIRS, " the 汉a", [" the", " 汉", "汉", "汉", "a", ""]),
        (BYTE_PAIRS, "河\n👩", ["河", "\n", "👩", "👩", "👩", "👩", ""]),
        (BYTE_PAIRS, "é", ["é", "é", ""]),
        (BYTE_PAIRS, "", [""]),
        (CHARACTERS, "河x汉\r\n", ["河", "x", "汉", "\r\n", ""]),
        (CHARACTERS, "a<unk><eos>", ["a", "<unk>", "<eos>", ""]),
    ],
)
def test_surface_is_the_text_as_sent(tokenizer: Tokenizer, text: str, surfaces: list[str]) -> None:
    score = scored(tokenizer, text)
    assert surfaces_of(tokenizer, score) == surfaces


@pytest.mark.parametrize("eos", [True, False])
@pytest.mark.parametrize("text", [" the 汉a", "河\n👩", "é", "", "a\n\nb", " 河汉👩 the\n"])
def test_ids_have_the_surfaces_of_their_text(text: str, eos: bool) -> None:
    by_text = scored(BYTE_PAIRS, text, eos=eos)
    by_ids = scored(BYTE_PAIRS, BYTE_PAIRS.encode(text).ids.tolist(), eos=eos)
    assert by_ids.starts is None
    assert surfaces_of(BYTE_PAIRS, by_ids) == surfaces_of(BYTE_PAIRS, by_text)


@kinds
@given(st.data())
def test_surfaces_of_any_ids_are_of_their_text(tokenizer: Tokenizer, data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocabulary_size - 1), max_size=20))
    score = scored(tokenizer, ids)
    surfaces = surfaces_of(tokenizer, score)
    assert len(surfaces) == len(ids) + 1
    assert surfaces.pop() == ""
    assert score.text == tokenizer.decode(np.array(ids, np.int64))
    made = ""
    starts = decoded_token_starts(tokenizer, np.array(ids, np.int64), score.text)
    for surface, start in zip(surfaces, starts, strict=True):
        assert surface
        assert score.text.startswith(surface, start)
        made += surface[len(made) - start :]
    assert made == score.text


def test_incomplete_characters_are_replaced() -> None:
    ids = ids_of(BYTE_PAIRS, "Ġæ", "t", "²", "Ġcat", "<eos>", "æ²")
    expected = [" \ufffd", "t", "\ufffd", " cat", "\n", "\ufffd", ""]
    assert surfaces_of(BYTE_PAIRS, scored(BYTE_PAIRS, ids)) == expected


def after(tokenizer: Tokenizer, *entries: str) -> NextSurfaces:
    following = NextSurfaces(tokenizer)
    for token in ids_of(tokenizer, *entries):
        following.add(token)
    return following


@pytest.mark.parametrize(
    ("entry", "before", "surface"),
    [
        ("Ġthe", [], " the"),
        ("Ã", [], r"bytes:\xc3"),
        ("æ²³", ["Ġcat"], "河"),
        ("³", ["æ²"], "河"),
        ("³", ["Ġæ", "²"], "河"),
        ("³", ["æ²", "t"], r"bytes:\xb3"),
        ("²", ["æ"], r"bytes:\xb2"),
        ("Ġthe", ["æ²"], " the"),
        ("<eos>", ["æ²"], "\n"),
        ("<eos>", [], "\n"),
    ],
)
def test_next_token_has_the_character_it_completes(
    entry: str, before: list[str], surface: str
) -> None:
    (token,) = ids_of(BYTE_PAIRS, entry)
    assert after(BYTE_PAIRS, *before).surface(token) == surface


def test_alternatives_follow_the_preceding_tokens() -> None:
    score = scored(BYTE_PAIRS, "汉", eos=False)  # e6 b1 89
    ids = score.ids.tolist()
    top = np.array([[ids[0], ids[1]], [ids[1], ids[2]], [ids[2], ids[0]]])
    decoded = Decoded(
        np.zeros(3, np.float32), top_ids=top, top_logprobs=np.zeros((3, 2), np.float32)
    )
    passage_score = TextScore(
        *(score.text, score.ids, score.starts, score.ends, score.oov),
        *(score.logprobs, score.totals, decoded),
    )
    rows = [
        row for b in token_rows(BYTE_PAIRS, passage_score, RowOptions(True, "nats"), 2) for row in b
    ]
    assert [row["surface"] for row in rows] == ["汉"] * 3
    assert [[one["surface"] for one in row["top"]] for row in rows] == [
        [r"bytes:\xe6", r"bytes:\xb1"],
        [r"bytes:\xb1", r"bytes:\x89"],
        ["汉", r"bytes:\xe6"],
    ]


def test_words_have_the_surface_of_the_text(api: ApiClient) -> None:
    text = "The\u3000old zzyzx's\r\nriver <unk> "
    tokens = api.score_one(text=text, top=3)["tokens"]
    assert [token["surface"] for token in tokens] == [
        *("The", "old", "zzyzx", "'s", "\r\n", "river", "<unk>", ""),
    ]
    assert [token["text"] for token in tokens if token["oov"]] == ["<unk>"] * 2
    for token in tokens:
        assert token["surface"] == text[token["start"] : token["end"]]
        for one in token["top"]:
            assert one["surface"] == ("\n" if one["text"] == "<eos>" else one["text"])


def test_words_by_id_have_their_entry_as_surface(model: LanguageModel, api: ApiClient) -> None:
    ids = model.tokenizer.encode("The old\nriver").ids.tolist()
    tokens = api.score_one(token_ids=[ids])["tokens"]
    assert [token["surface"] for token in tokens] == ["The", "old", "\n", "river", ""]
    ended = api.score_one(token_ids=[[*ids, model.tokenizer.end_id]], eos=False)["tokens"]
    assert [token["surface"] for token in ended] == ["The", "old", "\n", "river", "\n"]


def test_surfaces_continue_across_blocks(api: ApiClient, model: LanguageModel) -> None:
    words = ["river" if n % 3 else "zzyzx" for n in range(4100)]
    surfaces = [*words, ""]
    tokens = api.score_one(text=" ".join(words))["tokens"]
    assert [token["surface"] for token in tokens] == surfaces
    ids = model.tokenizer.encode("The old river\n" * 1100).ids.tolist()
    tokens = api.score_one(token_ids=[ids])["tokens"]
    assert [token["surface"] for token in tokens] == [*["The", "old", "river", "\n"] * 1100, ""]


def test_next_words_and_candidates_have_a_surface(api: ApiClient) -> None:
    answer = api.next_token(context="The old", top_k=50, candidates=["river", "zzyzx", "<eos>"])
    for token in answer["tokens"]:
        assert token["surface"] == ("\n" if token["text"] == "<eos>" else token["text"])
    read = [(one["text"], one["surface"], one["oov"]) for one in answer["candidates"]]
    assert read == [("river", "river", False), ("<unk>", "zzyzx", True), ("<eos>", "\n", False)]
