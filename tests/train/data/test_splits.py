"""Tests of finding splits by the names of files and folders."""

from pathlib import Path

import pytest

from train.config import DataConfig
from train.data.splits import find_splits
from train.errors import CorpusError

SPLITS = ("train", "valid", "test")


def splits_of(folder: Path, *names: str) -> tuple[list[list[str]], list[str]]:
    """Return the names of each split's files, and the warnings."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n" * 3, encoding="utf-8")
    warnings: list[str] = []
    sources, _ = find_splits(folder, None, warnings.append)
    return [
        [str(path.relative_to(folder)) for path in sources[split].files] for split in SPLITS
    ], warnings


@pytest.mark.parametrize(
    "names",
    [
        ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"),
        ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"),
        ("wiki.train.raw", "wiki.valid.raw", "wiki.test.raw"),
        ("train.txt", "val.txt", "test.txt"),
        ("train.txt", "dev.txt", "test.txt"),
        ("train.txt", "validation.txt", "test.txt"),
        ("training.txt.gz", "development.txt", "testing.txt"),
        ("Train.TXT", "Valid.txt", "TEST.txt"),
        ("train.en.txt", "dev.en.txt", "test.en.txt"),
        ("news_train_clean.txt", "news_dev_clean.txt", "news_test_clean.txt"),
        ("train1.txt", "valid1.txt", "test1.txt"),
    ],
)
def test_splits_are_found_by_their_usual_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert splits_of(tmp_path, *names, "README.txt") == ([[name] for name in names], [])


def test_numbered_parts_are_read_in_order(tmp_path: Path) -> None:
    parts = [f"train-{index:05}-of-00003.txt" for index in range(3)]
    found = splits_of(tmp_path, *parts, "validation-00000-of-00001.txt", "test-0.txt")
    assert found == ([parts, ["validation-00000-of-00001.txt"], ["test-0.txt"]], [])


def test_folders_have_the_same_names_as_files(tmp_path: Path) -> None:
    names = ("training/b.txt", "training/a/c.txt", "val/x.txt", "test.txt")
    expected = [["training/a/c.txt", "training/b.txt"], ["val/x.txt"], ["test.txt"]]
    assert splits_of(tmp_path, *names) == (expected, [])


@pytest.mark.parametrize("suffix", [".tokens", ".raw"])
def test_folders_of_splits_have_the_suffixes_of_splits(tmp_path: Path, suffix: str) -> None:
    names = [f"{split}/a{suffix}" for split in SPLITS]
    assert splits_of(tmp_path, *names) == ([[name] for name in names], [])


def test_splits_in_the_only_sub_folder_are_refused(tmp_path: Path) -> None:
    names = [f"ptb/ptb.{split}.txt" for split in SPLITS]
    with pytest.raises(CorpusError, match=f"splits are in {tmp_path / 'ptb'}; give --data "):
        splits_of(tmp_path, *names, "README.txt", ".cache/a.txt")
    found, _ = splits_of(tmp_path, "other/a.txt")  # with a second folder it is a single text
    assert len(found[0]) == 5


def test_splits_nested_two_levels_deep_are_refused(tmp_path: Path) -> None:
    names = [f"corpus/ptb/{split}.txt" for split in SPLITS]
    with pytest.raises(CorpusError, match=f"its splits are in {tmp_path / 'corpus' / 'ptb'}; give"):
        splits_of(tmp_path, *names)


def test_a_linked_parent_folder_ends_the_search(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to("..")
    assert splits_of(tmp_path, "a.txt")[0] == [["a.txt"]] * 3


def test_every_form_of_a_text_is_read_once(tmp_path: Path) -> None:
    found, warnings = splits_of(
        tmp_path,
        *("train/wiki.tokens", "train/wiki.raw", "train/sub/wiki.raw", "train/b.txt.gz"),
        *("valid-0.tokens", "valid-0.raw", "valid-1.raw", "test.txt"),
    )
    assert found == [
        ["train/b.txt.gz", "train/sub/wiki.raw", "train/wiki.tokens"],
        ["valid-0.tokens", "valid-1.raw"],
        ["test.txt"],
    ]
    assert [line.partition(": ")[2] for line in warnings] == [
        f"{tmp_path}/train/wiki.raw is left out: wiki.tokens is the same text",
        f"{tmp_path}/valid-0.raw is left out: valid-0.tokens is the same text",
    ]


def test_packed_part_is_read_once(tmp_path: Path) -> None:
    found, warnings = splits_of(
        tmp_path, "train-0.txt", "train-0.txt.gz", "train-1.txt", "valid.txt", "test.txt"
    )
    assert found[0] == ["train-0.txt", "train-1.txt"]
    assert len(warnings) == 1
    assert "train-0.txt.gz is left out" in warnings[0]


@pytest.mark.parametrize(
    "names",
    [
        ("high-speed-train.txt", "b.txt"),
        ("unit-test.txt", "dev-notes.txt"),
        ("trainer.txt", "contest.txt", "validity.txt"),
        ("dev.txt", "notes.txt"),
    ],
)
def test_a_word_in_a_name_is_no_split(tmp_path: Path, names: tuple[str, ...]) -> None:
    found, _ = splits_of(tmp_path, *names)
    assert found == [sorted(names)] * 3


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (("ptb.train.txt", "ptb.valid.txt"), "no test;"),
        (("train-0.txt", "train-1.txt"), "no valid and no test;"),
        (("train.txt", "val.txt"), "no test;"),
        (("validation.txt", "testing.txt"), "no train;"),
        (("dev-0.txt", "testing/a.txt", "notes.txt"), "no train;"),
        (("ptb.valid.txt", "ptb.test.txt"), "no train;"),
    ],
)
def test_an_incomplete_split_is_refused(
    tmp_path: Path, names: tuple[str, ...], missing: str
) -> None:
    with pytest.raises(CorpusError, match=missing):
        splits_of(tmp_path, *names)


def test_two_texts_with_splits_are_refused(tmp_path: Path) -> None:
    names = [f"{text}.{split}.txt" for text in ("ptb", "ptb.char") for split in SPLITS]
    with pytest.raises(CorpusError, match=r"several texts .*ptb\.char\.train\.txt, ptb\.train"):
        splits_of(tmp_path, *names)


def test_two_names_of_a_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="both dev and val name the valid split"):
        splits_of(tmp_path, "train.txt", "dev.txt", "val.txt", "test.txt")


def test_one_file_of_any_name_is_divided(tmp_path: Path) -> None:
    path = tmp_path / "book"
    path.write_text("".join(f"line {index}\n" for index in range(40)), encoding="utf-8")
    sources, note = find_splits(path, DataConfig())
    assert [len(list(sources[split].lines())) for split in SPLITS] == [36, 2, 2]
    assert list(sources["test"].lines()) == ["line 38", "line 39"]
    assert f"{path} has no split" in note


def test_a_stream_is_refused_with_a_hint() -> None:
    with pytest.raises(CorpusError, match="save it as a file"):
        find_splits(Path("/dev/null"))
