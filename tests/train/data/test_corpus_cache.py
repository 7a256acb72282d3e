"""Tests of the cache of tokenized text: entries are written once, and complete or missing."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from tests.support.tiny_training import contents, full_disk, start, write_corpus
from tests.support.train_command import Train
from train.checkpoint import Checkpoint
from train.config import TokenizerConfig
from train.data.corpus import Split, tokenize
from train.data.source import Source
from train.data.tokenizer import fit_tokenizer
from train.errors import CorpusError

WHITESPACE = TokenizerConfig(kind="whitespace")
ATTEMPTS = 5


class Counting:
    """A tokenizer that counts its texts and calls `before` with that number."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.texts = 0
        self.before: Callable[[int], object] = int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def encode_batch_fast(self, texts: list[str]) -> Any:
        self.texts += len(texts)
        self.before(self.texts)
        return self.tokenizer.encode_batch_fast(texts)


class Text:
    """A train split, its tokenizer and a cache."""

    def __init__(self, folder: Path) -> None:
        self.path = write_corpus(folder / "data", 300) / "train.txt"
        self.cache = folder / "cache"
        self.counting = Counting(fit_tokenizer(WHITESPACE, self.source.lines()))

    @property
    def source(self) -> Source:
        return Source((self.path,))

    def tokenize(self) -> Split:
        tokenizer: Any = self.counting
        return tokenize(self.source, tokenizer, self.cache, "train")

    def entries(self) -> list[str]:
        return sorted(path.name for path in self.cache.iterdir())

    def expected(self) -> list[int]:
        words = self.path.read_text(encoding="utf-8").replace("\n", " <eos> ").split()
        return [self.counting.token_to_id(word) for word in words]


@pytest.fixture
def text(tmp_path: Path) -> Text:
    return Text(tmp_path)


def test_the_same_text_is_tokenized_once(text: Text, tmp_path: Path) -> None:
    first = text.tokenize()
    assert text.counting.texts == 300
    assert first.ids.tolist() == text.expected()
    before = contents(text.cache)
    text.path = text.path.rename(tmp_path / "moved.txt")
    text.counting = Counting(Tokenizer.from_str(text.counting.to_str()))
    second = text.tokenize()
    assert text.counting.texts == 0
    assert second.counts() == first.counts()
    assert np.array_equal(second.ids, first.ids)
    assert contents(text.cache) == before
    assert len(text.entries()) == 1


def test_another_byte_or_another_tokenizer_makes_another_entry(text: Text) -> None:
    text.tokenize()
    first = text.path.read_bytes()
    text.path.write_bytes(first[:-2] + b"x\n")
    assert text.tokenize().ids.tolist()[:-2] == text.expected()[:-2]
    assert (text.counting.texts, len(text.entries())) == (600, 2)
    other = TokenizerConfig(kind="whitespace", vocabulary_size=5)
    text.counting = Counting(fit_tokenizer(other, text.source.lines()))
    text.tokenize()
    assert (text.counting.texts, len(text.entries())) == (300, 3)
    text.path.write_bytes(first)  # the entry of the first tokenizer exists
    text.tokenize()
    assert (text.counting.texts, len(text.entries())) == (600, 4)


def test_an_error_in_the_middle_leaves_nothing(text: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.data.source.CHUNK_BYTES", 1000)

    def stop(texts: int) -> None:
        if texts > 150:
            raise KeyboardInterrupt

    text.counting.before = stop
    with pytest.raises(KeyboardInterrupt):
        text.tokenize()
    assert text.entries() == []
    text.counting.before = int
    assert text.tokenize().ids.tolist() == text.expected()


def test_text_that_changes_while_read_is_refused(text: Text) -> None:
    source = text.source
    assert source.content.lines == 300
    text.path.write_bytes(text.path.read_bytes().replace(b"cat", b"dog", 1))
    tokenizer: Any = text.counting
    with pytest.raises(CorpusError, match=r"train\.txt\) changed while it was read"):
        tokenize(source, tokenizer, text.cache, "train")
    assert text.entries() == []


@pytest.mark.usefixtures("capsys")  # progress must not go to a file, which could not grow either
def test_a_full_disk_leaves_nothing(text: Text) -> None:
    with full_disk(100), pytest.raises(OSError, match="File too large"):
        text.tokenize()
    assert text.entries() == []


def test_kill_leaves_a_partial_entry_for_one_day(text: Text) -> None:
    process = start("tests.support.tokenize_slowly", text.path, text.cache)
    while not (text.cache.exists() and any(text.cache.glob("*/ids.int32"))):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    (left,) = text.entries()
    assert left.startswith(".partial-")
    assert text.tokenize().ids.tolist() == text.expected()
    assert left in text.entries()  # its writer may still run

    day_ago = time.time() - 90_000
    for path in (text.cache / left / "ids.int32", text.cache / left):
        os.utime(path, (day_ago, day_ago))
    text.path.write_text("the cat\n", encoding="utf-8")
    text.tokenize()
    assert len(text.entries()) == 2
    assert left not in text.entries()


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        (".partial-download", "ids.int32"),
        (f".partial-{'a' * 32}", "thesis.tex"),
        (f".partial-{'a' * 32}", "counts.json/thesis.tex"),
    ],
)
def test_other_folders_are_never_removed(text: Text, folder: str, file: str) -> None:
    path = text.cache / folder / file
    path.parent.mkdir(parents=True)
    path.write_text("years of work", encoding="utf-8")
    for part in [path, *path.parents[:2]]:
        os.utime(part, (0, 0))
    text.tokenize()
    assert path.read_text(encoding="utf-8") == "years of work"


def test_concurrent_writers_share_one_entry(text: Text) -> None:
    at_once = 0
    for _ in range(ATTEMPTS):
        shutil.rmtree(text.cache, ignore_errors=True)
        processes = [
            start("tests.support.tokenize_slowly", text.path, text.cache) for _ in range(2)
        ]
        while any(process.poll() is None for process in processes):
            if text.cache.exists():
                at_once = max(at_once, len(list(text.cache.glob(".partial-*"))))
            time.sleep(0.005)
        for process in processes:
            assert process.communicate()[0] == f"{len(text.expected())}\n"
            assert process.returncode == 0
        if at_once == 2:  # on a busy machine one may end before the other begins
            break
    assert at_once == 2
    assert len(text.entries()) == 1
    assert text.tokenize().ids.tolist() == text.expected()
    assert text.counting.texts == 0


@pytest.mark.parametrize("meanwhile", ["whole", "damaged"])
def test_entry_written_meanwhile_is_used_if_complete(text: Text, meanwhile: str) -> None:
    text.tokenize()
    (name,) = text.entries()
    made = text.cache.rename(text.cache.with_name("made")) / name
    if meanwhile == "damaged":
        (made / "counts.json").write_text("{", encoding="utf-8")
    text.counting.before = lambda _: shutil.copytree(made, text.cache / name)
    assert text.tokenize().ids.tolist() == text.expected()
    assert text.entries() == [name]
    same = (text.cache / name / "counts.json").read_bytes() == (made / "counts.json").read_bytes()
    assert same == (meanwhile == "whole")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ids.int32", None),
        ("ids.int32", b""),
        ("ids.int32", b"1234567"),
        ("ids.int32", b"12345678"),
        ("counts.json", None),
        ("counts.json", b"\xff{"),
        ("counts.json", b"[]"),
        ("counts.json", b"{}"),
        ("counts.json", b'{"tokens": 2100}'),
    ],
)
def test_a_damaged_entry_is_made_anew(text: Text, name: str, content: bytes | None) -> None:
    text.tokenize()
    (entry,) = text.cache.iterdir()
    (entry / name).unlink()
    if content is not None:
        (entry / name).write_bytes(content)
    assert text.tokenize().ids.tolist() == text.expected()
    assert text.counting.texts == 600
    assert text.entries() == [entry.name]


def test_runs_share_the_given_cache(train: Train, cache: Path, tmp_path: Path) -> None:
    assert train("--set", "train.epochs=1") == 0
    assert len(list(cache.iterdir())) == 3
    assert not list(train.out.rglob("*.int32"))
    given, marks = tmp_path / "given", []
    for name in ("first", "second"):
        other = Train(train.config, train.data, tmp_path / name)
        assert other("--cache", str(given), "--set", "train.epochs=1") == 0
        marks.append({path: path.stat().st_mtime_ns for path in given.rglob("*")})
    assert len(marks[0]) == 9
    assert marks[0] == marks[1]
    saves = [Checkpoint(out).load("model.pt")["step"] for out in (train.out, tmp_path / "second")]
    assert saves[0] == saves[1]
