"""Tests of tokenizers of characters and subwords: lossless and deterministic."""

import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.support.chinese_text import LINES
from tests.support.tiny_training import ROOT, sentences
from train.config import TokenizerConfig
from train.config_file import load_config
from train.data.corpus import tokenize
from train.data.source import Source
from train.data.tokenizer import end_id, fit_tokenizer
from train.errors import ConfigError, CorpusError

TEXT = [*LINES, *sentences(40), "It's 1,000 <eos> of <unk> – naïve.", "1 < 2 > 1"]
KINDS = ["char", "bpe", "unigram"]
PIECES = ["bpe", "unigram"]


def config(kind: str, **fields: int) -> TokenizerConfig:
    return TokenizerConfig.model_validate({"kind": kind, **fields})


FITTED = {kind: fit_tokenizer(config(kind), TEXT) for kind in KINDS}

ODD = "👩‍👩‍👧 e\u0301 ที่ שלום עולם \u200b\ufeff\x1c\u2028\u3000\r\t Ġé <unk> 河水"
lines = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\n\x00"), max_size=40
) | st.text(st.sampled_from("ab'1.  河，" + ODD), max_size=60)


def decoded(tokenizer: Tokenizer, ids: list[int]) -> str:
    text: str = tokenizer.decode(ids, skip_special_tokens=False)
    return text


@pytest.mark.parametrize("kind", KINDS)
def test_ids_have_no_gaps_and_eos_is_1(kind: str) -> None:
    tokenizer = FITTED[kind]
    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary.values()) == list(range(tokenizer.get_vocab_size()))
    assert end_id(tokenizer) == 1
    assert tokenizer.token_to_id("<unk>") == (0 if kind == "char" else None)


@pytest.mark.parametrize("kind", KINDS)
def test_literal_eos_decodes_to_a_newline(kind: str) -> None:
    tokenizer = FITTED[kind]
    encoding = tokenizer.encode("河 <eos>水<eo s>")
    assert encoding.ids.count(1) == 1
    assert encoding.offsets[encoding.ids.index(1)] == (2, 7)
    assert decoded(tokenizer, encoding.ids) == "河 \n水<eo s>"


def test_unseen_character_is_unknown() -> None:
    tokenizer = FITTED["char"]
    encoding = tokenizer.encode("河𝒳水<unk>")
    assert encoding.tokens == ["河", "<unk>", "水", "<unk>"]
    assert tokenizer.encode(decoded(tokenizer, encoding.ids)).ids == encoding.ids


@given(text=st.text(st.sampled_from("".join(LINES) + " the'"), max_size=60))
def test_known_characters_are_one_token_each(text: str) -> None:
    encoding = FITTED["char"].encode(text)
    assert encoding.tokens == list(text)
    assert encoding.offsets == [(i, i + 1) for i in range(len(text))]
    assert decoded(FITTED["char"], encoding.ids) == text


@pytest.mark.parametrize("kind", PIECES)
@settings(max_examples=200, deadline=None)
@given(text=lines)
@example(text="<unk> \ufffd Ġ <EOS>")
def test_pieces_of_any_line_read_as_it_was(kind: str, text: str) -> None:
    assert decoded(FITTED[kind], FITTED[kind].encode(text).ids) == text.replace("<eos>", "\n")


@pytest.mark.parametrize("kind", PIECES)
@settings(max_examples=200, deadline=None)
@given(text=lines)
def test_spans_cover_the_line_and_whole_characters(kind: str, text: str) -> None:
    at = 0
    for start, end in FITTED[kind].encode(text).offsets:
        assert start <= at < end or at == end == start + 1
        at = end
    assert at == len(text)


@pytest.mark.parametrize("kind", PIECES)
@pytest.mark.parametrize("size", [257, 300, 330])
def test_the_vocabulary_is_no_larger_than_asked(kind: str, size: int) -> None:
    tokenizer = fit_tokenizer(config(kind, vocabulary_size=size), TEXT)
    assert tokenizer.get_vocab_size() == size
    assert decoded(tokenizer, tokenizer.encode("桥 xyz").ids) == "桥 xyz"


@pytest.mark.parametrize("kind", PIECES)
def test_larger_vocabulary_gives_fewer_tokens(kind: str) -> None:
    def count(size: int) -> int:
        tokenizer = fit_tokenizer(config(kind, vocabulary_size=size), TEXT)
        return sum(len(tokenizer.encode(line).ids) for line in TEXT)

    in_bytes = sum(len(line.replace("<eos>", "x").encode()) for line in TEXT)
    assert count(257) == in_bytes
    assert count(400) < count(300) < 0.9 * in_bytes


@pytest.mark.parametrize("kind", PIECES)
def test_too_few_entries_for_all_bytes_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="257 or more"):
        config(kind, vocabulary_size=256)


def test_wrong_vocabulary_size_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('name = "a"\n[tokenizer]\nkind = "bpe"\nvocabulary_size = 100\n')
    with pytest.raises(ConfigError, match=r"tokenizer: bpe needs a vocabulary_size of 257 or more"):
        load_config(path, [])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nothing", [[], [""], ["<eos>", ""]])
def test_a_text_of_nothing_is_refused(kind: str, nothing: list[str]) -> None:
    with pytest.raises(CorpusError, match=r"no text|no character"):
        fit_tokenizer(config(kind), nothing)


@pytest.mark.parametrize("kind", KINDS)
def test_one_character_is_text_enough(kind: str) -> None:
    tokenizer = fit_tokenizer(config(kind), iter(["河"]))
    assert decoded(tokenizer, tokenizer.encode("河").ids) == "河"


FIT = """
import hashlib
from tests.train.data.test_subword_tokenizers import FITTED
print([hashlib.sha256(FITTED[kind].to_str().encode()).hexdigest() for kind in FITTED])
"""


def test_another_process_makes_the_same_files() -> None:
    """Hash tables have a random order in each process; the tokenizer must not depend on it."""
    runs = {
        subprocess.run(
            [sys.executable, "-c", FIT],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed, threads in (("1", "1"), ("2", "4"))
    }
    assert len(runs) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_alone_makes_the_same_tokenizer(kind: str) -> None:
    again = Tokenizer.from_str(json.dumps(json.loads(FITTED[kind].to_str())))
    text = "河水<eos>👩‍👩‍👧 the “naïve”  cat's <unk> 1,000"
    assert again.encode(text).ids == FITTED[kind].encode(text).ids
    assert again.decode(again.encode(text).ids) == FITTED[kind].decode(again.encode(text).ids)


@pytest.mark.parametrize("kind", KINDS)
def test_split_is_tokenized_line_by_line(kind: str, tmp_path: Path) -> None:
    tokenizer = FITTED[kind]
    path = tmp_path / "text.txt"
    path.write_text("河水𝒳\n\nthe cat\r\n", encoding="utf-8")
    split = tokenize(Source((path,)), tokenizer, tmp_path / "cache", "valid")
    expected = [[*tokenizer.encode(line).ids, 1] for line in ("河水𝒳", "", "the cat")]
    assert split.ids.tolist() == [*chain(*expected)]
    assert split.unknown == (1 if kind == "char" else 0)  # 𝒳
    assert (split.characters, split.bytes) == (10, 17)
