"""Incremental detokenizers: text, offsets and stable length, token by token."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.language_model import LanguageModel
from service.text.detokenizer import SubwordDetokenizer, WordDetokenizer, detokenizer_of
from service.text.token_starts import decoded_token_starts
from service.text.tokenizer import Tokenizer
from tests.support.subword_tokenizers import BYTE_PAIRS, SUBWORD

# Half of the tokens are punctuation marks, which join to words in different ways.
tokens = st.lists(st.integers(2, 120) | st.integers(2, 13_999), min_size=1, max_size=50)
TEXTS = [
    "well -",
    "The old river",
    "the end .",
    "a (b",
    'He said , "',
    "It 's",
    "x",
    "",
    "A line\nThe",
    "👩",
]


@given(st.sampled_from(TEXTS), st.data())
def test_words_start_at_their_offsets(
    model: LanguageModel, prompt: str, data: st.DataObject
) -> None:
    """After any prompt the offsets rise, and each word starts at its own."""
    tokenizer = model.tokenizer
    detokenizer = WordDetokenizer(tokenizer, tokenizer.encode(prompt).ids)
    added = data.draw(tokens)
    for token in added:
        detokenizer.add(token)
    assert detokenizer.starts == sorted(detokenizer.starts)
    for token, start in zip(added, detokenizer.starts, strict=True):
        assert detokenizer.text.startswith(tokenizer.entries[token], start)


@given(st.sampled_from(TEXTS), st.data())
def test_stable_text_never_changes(model: LanguageModel, prompt: str, data: st.DataObject) -> None:
    """Later tokens do not change the text that a stream has sent."""
    tokenizer = model.tokenizer
    detokenizer = WordDetokenizer(tokenizer, tokenizer.encode(prompt).ids)
    for token in data.draw(tokens):
        before = detokenizer.text[: detokenizer.stable_length]
        detokenizer.add(token)
        assert detokenizer.text.startswith(before)


@given(st.data())
def test_a_detokenizer_reads_as_its_tokens_do(model: LanguageModel, data: st.DataObject) -> None:
    """Without a prompt the text is what the tokenizer decodes, at any length."""
    tokenizer, added = model.tokenizer, data.draw(tokens)
    detokenizer = WordDetokenizer(tokenizer, np.empty(0, np.int64))
    for token in added:
        detokenizer.add(token)
    assert detokenizer.text == tokenizer.decode(np.array(added, np.int64))


@given(text=st.text(max_size=30) | st.text("the cat河é\n", max_size=30))
def test_subwords_make_their_text_again(text: str) -> None:
    text = text.replace("<eos>", "")
    detokenizer = SubwordDetokenizer(BYTE_PAIRS)
    encoding = BYTE_PAIRS.encode(text)
    for token in encoding.ids.tolist():
        before = detokenizer.text[: detokenizer.stable_length]
        detokenizer.add(token)
        assert detokenizer.text.startswith(before)
        assert text.startswith(detokenizer.text[: detokenizer.stable_length])
    assert detokenizer.text == text
    assert detokenizer.starts == encoding.starts


@given(ids=st.lists(st.integers(0, BYTE_PAIRS.vocabulary_size - 1), max_size=30))
def test_any_subwords_equal_the_decoded_text(ids: list[int]) -> None:
    detokenizer = SubwordDetokenizer(BYTE_PAIRS)
    for token in ids:
        before = detokenizer.text[: detokenizer.stable_length]
        detokenizer.add(token)
        assert detokenizer.text.startswith(before)
    assert detokenizer.text == BYTE_PAIRS.decode(np.array(ids, np.int64))
    assert detokenizer.starts == sorted(detokenizer.starts)
    assert all(start <= len(detokenizer.text) for start in detokenizer.starts)


@given(st.data())
def test_words_start_where_incremental_decoding_puts_them(
    model: LanguageModel, data: st.DataObject
) -> None:
    tokenizer = model.tokenizer
    added = data.draw(st.lists(st.integers(0, 120) | st.integers(0, 13_999), max_size=50))
    detokenizer, ids = WordDetokenizer(tokenizer, np.empty(0, np.int64)), np.array(added, np.int64)
    for token in added:
        detokenizer.add(token)
    text = tokenizer.decode(ids)
    assert text == detokenizer.text
    assert decoded_token_starts(tokenizer, ids, text) == detokenizer.starts
    for token, start in zip(added, detokenizer.starts, strict=True):
        entry = "\n" if token == tokenizer.end_id else tokenizer.entries[token]
        assert text.startswith(entry, start)


@pytest.mark.parametrize("tokenizer", SUBWORD.values(), ids=SUBWORD)
@given(st.data())
def test_subwords_start_where_incremental_decoding_puts_them(
    tokenizer: Tokenizer, data: st.DataObject
) -> None:
    added = data.draw(st.lists(st.integers(0, tokenizer.vocabulary_size - 1), max_size=30))
    detokenizer, ids = SubwordDetokenizer(tokenizer), np.array(added, np.int64)
    for token in added:
        detokenizer.add(token)
    assert decoded_token_starts(tokenizer, ids, tokenizer.decode(ids)) == detokenizer.starts


def test_half_a_character_is_not_stable() -> None:
    detokenizer = SubwordDetokenizer(BYTE_PAIRS)
    detokenizer.add(BYTE_PAIRS.entries.index("Ġæ"))
    assert (detokenizer.text, detokenizer.stable_length) == (" \ufffd", 1)
    detokenizer.add(BYTE_PAIRS.entries.index("²"))
    assert (detokenizer.text, detokenizer.stable_length) == (" \ufffd", 1)
    detokenizer.add(BYTE_PAIRS.entries.index("³"))
    assert (detokenizer.text, detokenizer.stable_length) == (" 河", 2)
    assert detokenizer.starts == [0, 1, 1]


def test_token_after_half_a_character_starts_behind() -> None:
    detokenizer = SubwordDetokenizer(BYTE_PAIRS)
    for entry in ("Ġæ", "t", "²", "Ġcat"):
        detokenizer.add(BYTE_PAIRS.entries.index(entry))
    assert detokenizer.text == " \ufffdt\ufffd cat"
    assert detokenizer.starts == [0, 2, 3, 4]


def test_detokenizer_follows_the_kind_of_vocabulary(
    model: LanguageModel,
) -> None:
    prompt = np.empty(0, np.int64)
    assert isinstance(detokenizer_of(model.tokenizer, prompt), WordDetokenizer)
    assert isinstance(detokenizer_of(BYTE_PAIRS, prompt), SubwordDetokenizer)
