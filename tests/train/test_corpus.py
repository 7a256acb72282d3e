import gzip
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.train.tiny import contents, full_disk, write_corpus
from train.config import TokenizerConfig
from train.corpus import Source, find_splits, tokenize
from train.errors import CorpusError
from train.tokenizer import fit_tokenizer

WHITESPACE = TokenizerConfig(kind="whitespace")


def read_all(data: Path) -> dict[str, list[str]]:
    return {split: list(source.lines()) for split, source in find_splits(data)[0].items()}


def naive_ids(train: list[str], lines: list[str]) -> list[int]:
    """Ranks by falling count, then spelling, after `<unk>` and `<eos>`; a line ends in `<eos>`."""
    counts = Counter(word for line in train for word in line.split())
    words = sorted(counts, key=lambda word: (-counts[word], word))
    rank = {word: 2 + index for index, word in enumerate(words)}
    return [rank.get(word, 0) if word else 1 for line in lines for word in [*line.split(), ""]]


def test_the_three_layouts_hold_the_same_text(tmp_path: Path) -> None:
    plain = write_corpus(tmp_path / "plain")
    zipped, folders = tmp_path / "zipped", tmp_path / "folders"
    zipped.mkdir()
    for split in ("train", "valid", "test"):
        text = (plain / f"{split}.txt").read_bytes()
        (zipped / f"{split}.txt.gz").write_bytes(gzip.compress(text))
        half = text.index(b"\n", len(text) // 2) + 1
        (folders / split / "b").mkdir(parents=True)
        (folders / split / "a.txt").write_bytes(text[:half])
        (folders / split / "b" / "c.txt.gz").write_bytes(gzip.compress(text[half:]))
        (folders / split / "notes.md").write_bytes(b"\x00 no text")
    expected = {
        split: (plain / f"{split}.txt").read_text(encoding="utf-8").splitlines()
        for split in ("train", "valid", "test")
    }
    assert read_all(plain) == read_all(zipped) == read_all(folders) == expected
    assert str(plain) in find_splits(plain)[1]


@pytest.mark.parametrize(("count", "held_out"), [(3, 1), (20, 1), (21, 2), (100, 5), (101, 6)])
def test_the_last_tenth_of_text_without_splits_is_held_out(
    tmp_path: Path, count: int, held_out: int
) -> None:
    lines = [f"line {index}" for index in range(count)]
    (tmp_path / "a.txt").write_text("\n".join(lines[: count // 2]) + "\n", encoding="utf-8")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "rest.txt").write_text("\n".join(lines[count // 2 :]), encoding="utf-8")
    assert read_all(tmp_path) == {
        "train": lines[: -2 * held_out],
        "valid": lines[-2 * held_out : -held_out],
        "test": lines[-held_out:],
    }
    note = find_splits(tmp_path)[1]
    assert f"its {count} lines the last {held_out} are held out for testing" in note
    assert f"the {held_out} before them for validation" in note


@pytest.mark.parametrize("missing", [["valid"], ["train", "test"]])
def test_a_part_of_a_split_is_refused_by_name(tmp_path: Path, missing: list[str]) -> None:
    write_corpus(tmp_path)
    for split in missing:
        (tmp_path / f"{split}.txt").unlink()
    with pytest.raises(CorpusError, match=f"there is no {' and no '.join(missing)};"):
        find_splits(tmp_path)


def test_a_folder_without_enough_text_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="missing: not a folder"):
        find_splits(tmp_path / "missing")
    (tmp_path / "text.md").write_text("a\nb\nc\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"no \.txt or \.txt\.gz file"):
        find_splits(tmp_path)
    (tmp_path / "text.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="2 lines are too few"):
        find_splits(tmp_path)


def test_what_is_not_text_is_named_by_file_and_line(tmp_path: Path) -> None:
    for content, reason in ((b"a\nb\nc\x00d\n", "NUL"), (b"a\nb\nc\xffd\n", "not UTF-8")):
        for name, written in (("a.txt", content), ("a.txt.gz", gzip.compress(content))):
            (tmp_path / name).write_bytes(written)
            with pytest.raises(CorpusError, match=f"{name}, line 3: .*{reason}"):
                list(Source((tmp_path / name,)).lines())


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    good = gzip.compress(" ".join(str(index**2) for index in range(2000)).encode())
    path = tmp_path / "a.txt.gz"
    flipped = good[:60] + bytes(byte ^ 0xFF for byte in good[60:90]) + good[90:]
    for damaged in (b"plain", good[:-20], good[:-8] + b"\x00" * 8, flipped):
        path.write_bytes(damaged)
        with pytest.raises(CorpusError, match=f"{path.name}: "):
            list(Source((path,)).lines())


def test_ids_and_counts_are_those_of_a_naive_tokenisation(tmp_path: Path) -> None:
    train = ["a b b", "", "  c\ta ", "é"] * 1500  # more lines than one block
    valid = ["a x é", "", "ÿ c 日本"]
    tokenizer = fit_tokenizer(WHITESPACE, train)
    for name, lines in (("train", train), ("valid", valid)):
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        source = Source((tmp_path / f"{name}.txt",))
        split = tokenize(source, tokenizer, tmp_path / f"{name}.ids", name)
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


def test_ids_on_the_disk_are_used_again(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "data")
    source = find_splits(data)[0]["train"]
    tokenizer = fit_tokenizer(WHITESPACE, source.lines())
    first = tokenize(source, tokenizer, tmp_path / "train.ids", "train")
    shutil.rmtree(data)
    second = tokenize(source, tokenizer, tmp_path / "train.ids", "train")
    assert second.counts() == first.counts()
    assert np.array_equal(second.ids, first.ids)


@pytest.mark.parametrize("content", ["", "\n \n\n"])
def test_a_split_without_words_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "valid.txt").write_text(content, encoding="utf-8")
    source, tokenizer = Source((tmp_path / "valid.txt",)), fit_tokenizer(WHITESPACE, ["a"])
    with pytest.raises(CorpusError, match=r"valid split .*valid\.txt\) holds no words"):
        tokenize(source, tokenizer, tmp_path / "valid.ids", "valid")


@pytest.mark.usefixtures("capsys")  # progress must not go to a file, which could not grow either
def test_a_full_disk_leaves_no_part_of_a_split(tmp_path: Path) -> None:
    source = find_splits(write_corpus(tmp_path / "data"))[0]["train"]
    tokenizer = fit_tokenizer(WHITESPACE, source.lines())
    (tmp_path / "ids").mkdir()
    with full_disk(100), pytest.raises(OSError, match="File too large"):
        tokenize(source, tokenizer, tmp_path / "ids" / "train.ids", "train")
    assert contents(tmp_path / "ids") == {}
