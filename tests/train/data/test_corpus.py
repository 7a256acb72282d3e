"""Tests of ids against a naive tokenization, for every order of work and shape of line."""

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.support.tiny_training import sentences
from train.config import TokenizerConfig
from train.data import source as source_module
from train.data.corpus import default_cache, tokenize
from train.data.source import Source
from train.data.tokenizer import COUNTED_KINDS, SUBWORD_KINDS, end_id, fit_tokenizer
from train.errors import CorpusError

WHITESPACE = TokenizerConfig(kind="whitespace")


def write(path: Path, lines: list[str]) -> Source:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return Source((path,))


def naive_ids(train: list[str], lines: list[str]) -> list[int]:
    """Tokenize naively: ids by falling count, then spelling; `<eos>` ends each line."""
    counts = Counter(word for line in train for word in line.split())
    words = sorted(counts, key=lambda word: (-counts[word], word))
    rank = {word: 2 + index for index, word in enumerate(words)}
    return [rank.get(word, 0) if word else 1 for line in lines for word in [*line.split(), ""]]


def test_ids_and_counts_equal_naive_tokenization(tmp_path: Path) -> None:
    train = ["a b b", "", "  c\ta ", "é"] * 30_000  # more lines than one block
    valid = ["a x é", "", "ÿ c 日本"]
    tokenizer = fit_tokenizer(WHITESPACE, train)
    for name, lines in (("train", train), ("valid", valid)):
        source = write(tmp_path / f"{name}.txt", lines)
        split = tokenize(source, tokenizer, tmp_path / "cache", name)
        ids = naive_ids(train, lines)
        assert split.ids.tolist() == ids
        assert split.counts() == {
            "tokens": len(ids),
            "lines": len(lines),
            "unknown": ids.count(0),
            "characters": sum(len(line) for line in lines),
            "bytes": sum(len(line.encode()) for line in lines),
        }
    assert split.counts()["unknown"] == 3


@pytest.mark.parametrize("parallel", ["true", "false"])
def test_order_is_that_of_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parallel: str
) -> None:
    lines = [f"{index} {index % 97}" for index in range(20_000)]
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", parallel)
    monkeypatch.setattr(source_module, "CHUNK_BYTES", 1000)
    split = tokenize(
        write(tmp_path / "a.txt", lines), fit_tokenizer(WHITESPACE, lines), tmp_path, "train"
    )
    assert split.ids.tolist() == naive_ids(lines, lines)


@pytest.mark.parametrize("kind", [*COUNTED_KINDS, *SUBWORD_KINDS])
def test_split_line_has_the_ids_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    pick = random.Random(0).choice
    vocabulary = ["the", "cat's", "1,000", "(", "…", "Éa", "日本", "\t", "", "x", " "]
    lines = [" ".join(pick(vocabulary) for _ in range(3000)), "a b", "", "c" * 9000]
    tokenizer = fit_tokenizer(TokenizerConfig.model_validate({"kind": kind}), lines)
    expected: list[int] = []
    for line in lines:
        expected += [*tokenizer.encode(line).ids, end_id(tokenizer)]
    monkeypatch.setattr(source_module, "LONG_LINE", 50)
    split = tokenize(write(tmp_path / "a.txt", lines), tokenizer, tmp_path / "cache", "train")
    assert split.ids.tolist() == expected
    assert split.lines == 4
    assert split.characters == sum(map(len, lines))
    assert split.bytes == sum(len(line.encode()) for line in lines)


def test_subword_tokenizer_has_no_unknown_tokens(tmp_path: Path) -> None:
    tokenizer = fit_tokenizer(TokenizerConfig(kind="bpe"), sentences(50))
    assert tokenizer.token_to_id("<unk>") is None
    split = tokenize(write(tmp_path / "a.txt", ["the zebra Ж"]), tokenizer, tmp_path, "train")
    assert split.unknown == 0
    assert len(split.ids) > 4


@pytest.mark.parametrize("content", ["", "\n \n\n"])
def test_a_split_without_words_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "valid.txt").write_text(content, encoding="utf-8")
    source, tokenizer = Source((tmp_path / "valid.txt",)), fit_tokenizer(WHITESPACE, ["a"])
    for _ in range(2):
        with pytest.raises(
            CorpusError, match=r"valid split .*valid\.txt\) has no words; give a text that has some"
        ):
            tokenize(source, tokenizer, tmp_path / "cache", "valid")
    assert not list((tmp_path / "cache").iterdir())


def test_the_cache_is_where_the_desktop_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    for variable, folder in {
        "/elsewhere": "/elsewhere/tiedlm",
        "": "/somewhere/.cache/tiedlm",
        "relative": "/somewhere/.cache/tiedlm",  # the XDG specification requires to ignore it
    }.items():
        monkeypatch.setenv("XDG_CACHE_HOME", variable)
        assert default_cache() == Path(folder)
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path("/somewhere/.cache/tiedlm")
