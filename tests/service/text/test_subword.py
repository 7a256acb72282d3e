"""Subword tokenizers: encoding, decoding, search by prefix, and sums per word."""

import asyncio

import numpy as np
import pytest
import tokenizers
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import models

from service.bundle import Manifest
from service.inference.engine import Decoded
from service.language_model import LanguageModel
from service.results.text_score import TextScore, text_score
from service.results.word_score import word_scores
from service.runtime.background_thread import BackgroundThread
from service.runtime.metrics import Metrics
from service.text import line_encoder
from service.text.request_encoder import RequestEncoder
from service.text.tokenized_text import TokenizedText
from service.text.tokenizer import Tokenizer
from tests.service.text.test_tokenizer import plain, texts, tiny_library_tokenizer, tiny_manifest
from tests.support.subword_tokenizers import BYTE_PAIRS, CHARACTERS, SUBWORD, as_served

kinds = pytest.mark.parametrize("tokenizer", SUBWORD.values(), ids=SUBWORD)
long_lines = st.text(st.sampled_from("the ca 河é\t<x"), min_size=100, max_size=400) | st.lists(
    st.sampled_from(["the", " cat", "<eos>", "<unk>", "<eos", "  ", "河", "x" * 50, " " * 30]),
    min_size=10,
    max_size=60,
).map("".join)


def test_subword_defaults_to_false() -> None:
    said = tiny_manifest().model_dump()
    del said["subword"]
    assert Manifest.model_validate(said).subword is False


def test_a_tokenizer_names_its_kind(model: LanguageModel) -> None:
    unigram = tokenizers.Tokenizer(models.Unigram([("<unk>", 0.0), ("<eos>", 0.0)], 0, False))
    made = {kind: served.kind for kind, served in SUBWORD.items()}
    assert made == {"pieces": "bpe", "characters": "char"}
    assert as_served(unigram).kind == "unigram"
    split = Tokenizer(tiny_library_tokenizer().to_str().encode(), tiny_manifest())
    assert split.kind == "whitespace"
    assert model.tokenizer.kind == "words"


@kinds
def test_carriage_return_belongs_to_the_newline(tokenizer: Tokenizer) -> None:
    windows, unix = (plain(tokenizer.encode(f"the cat{end}河{end}")) for end in ("\r\n", "\n"))
    assert [token for token, *_ in windows] == [token for token, *_ in unix]
    assert [span for token, *span in windows if token == tokenizer.end_id] == [[7, 9], [10, 12]]
    alone = tokenizer.encode("the cat\r").ids
    assert len(alone) == len(tokenizer.encode("the cat").ids) + 1


@kinds
@given(text=texts)
def test_spans_cover_every_line(tokenizer: Tokenizer, text: str) -> None:
    at = 0
    for _, start, end in plain(tokenizer.encode(text)):
        assert start <= at < end or at == end == start + 1
        at = end
    assert at == len(text)


@given(text=texts)
def test_tokens_of_a_character_span_all_of_it(text: str) -> None:
    for token, start, end in plain(BYTE_PAIRS.encode(text)):
        if token != BYTE_PAIRS.end_id:
            assert BYTE_PAIRS.vocabulary.spellings[token] in text[start:end].encode()


def test_a_character_of_three_bytes() -> None:
    assert plain(BYTE_PAIRS.encode("a 汉")) == [
        (BYTE_PAIRS.entries.index(entry), start, end)
        for entry, start, end in [("a", 0, 1), ("Ġæ", 1, 3), ("±", 2, 3), ("ī", 2, 3)]
    ]


@given(text=texts)
def test_decoding_returns_the_text(text: str) -> None:
    assert BYTE_PAIRS.decode(BYTE_PAIRS.encode(text).ids) == text.replace("<eos>", "\n")


@kinds
@given(text=texts)
def test_encoding_decoded_ids_returns_them(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text).ids
    assert tokenizer.encode(tokenizer.decode(ids)).ids.tolist() == ids.tolist()


@kinds
@given(text=long_lines)
@example(text="x" * 300)
@example(text=" " * 300)
@example(text="the<eos>" * 40)
def test_chunks_of_a_line_give_the_same_tokens(tokenizer: Tokenizer, text: str) -> None:
    whole = plain(tokenizer.encode(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_encoder, "MARGIN_CHARACTERS", 24)
        for length in (30, 47, 64):
            patch.setattr(line_encoder, "CHUNK_CHARACTERS", length)
            assert plain(tokenizer.encode(text)) == whole


def test_line_without_spaces_is_encoded_in_chunks(chunk_lengths: list[int]) -> None:
    BYTE_PAIRS.encode("河" * 50_000)
    CHARACTERS.encode("河" * 50_000)
    assert max(chunk_lengths) <= line_encoder.CHUNK_CHARACTERS
    assert sum(chunk_lengths) < 110_000


def spelled(tokenizer: Tokenizer, prefix: str) -> set[str]:
    return {tokenizer.vocabulary.names[i] for i in tokenizer.vocabulary.with_prefix(prefix)}


def test_prefix_finds_subwords_with_or_without_space() -> None:
    assert spelled(BYTE_PAIRS, "the") == {" the"}
    assert spelled(BYTE_PAIRS, "ca") == {"ca", "cat", " cat"}
    assert spelled(BYTE_PAIRS, " ca") == {" cat"}
    assert spelled(BYTE_PAIRS, "t") == {"t", " t", " the"}
    assert spelled(BYTE_PAIRS, "河") == {"河"}
    assert spelled(BYTE_PAIRS, "Ġ") == set()
    assert spelled(CHARACTERS, "c") == {"c"}
    assert spelled(CHARACTERS, " ") == {" "}
    for tokenizer in SUBWORD.values():
        found = tokenizer.vocabulary.with_prefix("")
        assert sorted(found.tolist()) == list(range(tokenizer.vocabulary_size))


@kinds
def test_no_two_ids_have_one_name_or_spelling(tokenizer: Tokenizer) -> None:
    vocabulary = tokenizer.vocabulary
    assert len(set(vocabulary.names)) == len(set(vocabulary.spellings)) == len(vocabulary.entries)


def test_incomplete_characters_are_named_by_bytes() -> None:
    names = dict(zip(BYTE_PAIRS.entries, BYTE_PAIRS.vocabulary.names, strict=True))
    assert names["Ġæ"] == "bytes:\\x20\\xe6"
    assert names["é"] == "bytes:\\xe9"
    assert names["æ²³"] == "河"
    assert names["Ġcat"] == " cat"
    assert names["<eos>"] == "<eos>"


@pytest.mark.parametrize(
    ("word", "entries"),
    [
        (" cat", ["Ġcat"]),
        ("cat", ["cat"]),
        ("Ġcat", ["Ġcat"]),  # an entry, as responses contain it
        ("河", ["æ²³"]),
        ("é", ["Ã", "©"]),  # not the byte e9, whose entry looks like it
        ("Ġ", ["Ä", "ł"]),
        ("the cat", ["t", "he", "Ġcat"]),
        ("<eos>", ["<eos>"]),
    ],
)
def test_candidate_is_a_spelling_or_an_entry(word: str, entries: list[str]) -> None:
    assert [BYTE_PAIRS.entries[i] for i in BYTE_PAIRS.word_ids(word)] == entries


def scored(tokenizer: Tokenizer, text: str, unscored: int = 0) -> TextScore:
    encoding = tokenizer.encode(text)
    ids = np.append(encoding.ids, tokenizer.end_id)
    logprobs = -np.random.default_rng(len(ids)).random(len(ids) - unscored, np.float32)
    decoded = Decoded(logprobs)
    passage = TokenizedText(text, encoding.ids, encoding.starts, encoding.ends, len(text.split()))
    return text_score(passage, ids, decoded, tokenizer.unknown_id, None)


@kinds
@given(text=texts, unscored=st.integers(0, 1))
@example(text=" the  cat \n\t河<eos>a <eos> ", unscored=0)
def test_words_and_ends_sum_to_the_total(tokenizer: Tokenizer, text: str, unscored: int) -> None:
    score = scored(tokenizer, text, unscored)
    words = word_scores(score, tokenizer.end_id)
    assert [text[start:end] for start, end in words.spans] == text.split()
    if text.split():
        kept = score.logprobs[unscored:]
        at_end = score.ids[unscored:] == tokenizer.end_id
        total = words.logprobs.sum() + kept[at_end].sum()
        assert -total == pytest.approx(score.totals.nats)
        assert words.token_counts.sum() + at_end.sum() == score.totals.tokens


def test_white_space_counts_for_next_or_last_word() -> None:
    score = scored(CHARACTERS, " the  cat \n o  ")
    words = word_scores(score, CHARACTERS.end_id)
    assert words.spans == [(1, 4), (6, 9), (12, 13)]
    assert words.token_counts.tolist() == [4, 5, 5]
    logprobs = score.logprobs
    assert words.logprobs.tolist() == pytest.approx(
        [logprobs[:4].sum(), logprobs[4:9].sum(), logprobs[9] + logprobs[11:15].sum()]
    )


@pytest.mark.parametrize(
    ("tokenizer", "text", "rest"),
    [
        (CHARACTERS, "the cat", "he cat"),
        (CHARACTERS, " cat", "cat"),
        (BYTE_PAIRS, "the cat", "he cat"),
        (BYTE_PAIRS, "汉 cat", "汉 cat"),  # the two other bytes of the character are scored
    ],
)
def test_characters_of_an_unscored_token_are_not_counted(
    tokenizer: Tokenizer, text: str, rest: str
) -> None:
    reader = RequestEncoder(tokenizer, Metrics(), BackgroundThread(), 100)
    (passage,) = asyncio.run(reader.encode_texts([text]))
    by_ids = asyncio.run(reader.decode_ids(passage.ids.tolist(), "token_ids"))
    for read in (passage, by_ids):
        decoded = Decoded(np.zeros(len(read.ids) - 1, np.float32))
        totals = text_score(read, read.ids, decoded, None, None).totals
        assert (totals.bytes, totals.characters) == (len(rest.encode()), len(rest))
        assert totals.words == len(rest.split())


def test_word_without_scored_token_has_count_0() -> None:
    words = word_scores(scored(CHARACTERS, "a <eos> cat", unscored=1), CHARACTERS.end_id)
    assert words.token_counts.tolist() == [0, 1, 4]
    assert words.logprobs[0] == 0
