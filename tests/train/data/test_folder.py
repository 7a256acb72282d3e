"""Tests of the choice of files that the trainer reads in a folder."""

import os
from pathlib import Path

import pytest

from train.data.folder import text_files
from train.data.splits import find_splits
from train.errors import CorpusError


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n" * 3, encoding="utf-8")


def found(folder: Path) -> tuple[list[str], list[str]]:
    warnings: list[str] = []
    names = [str(path.relative_to(folder)) for path in text_files(folder, warnings.append)]
    return names, warnings


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, ".ipynb_checkpoints/a-checkpoint.txt", "._a.txt", "_SUCCESS.txt", ".b.txt")
    write(tmp_path, "a.txt", "b/c.txt", "b/.d/e.txt", "b/_f/g.txt", "h.md")
    assert found(tmp_path) == (["a.txt", "b/c.txt"], [])


def test_hidden_text_is_in_no_split(tmp_path: Path) -> None:
    write(tmp_path, "train/a.txt", "train/.ipynb_checkpoints/a.txt", "train/._a.txt")
    write(tmp_path, "valid/v.txt", "valid/..data/v.txt", "test/t.txt", "test/.t.txt")
    splits, _ = find_splits(tmp_path)
    assert [[path.name for path in splits[s].files] for s in splits] == [
        ["a.txt"],
        ["v.txt"],
        ["t.txt"],
    ]


def test_a_mounted_config_map_is_read_once(tmp_path: Path) -> None:
    """Kubernetes mounts links to links: a.txt → ..data/a.txt, ..data → ..2026_01."""
    write(tmp_path, "..2026_01/a.txt", "..2026_01/sub/b.txt")
    (tmp_path / "..data").symlink_to("..2026_01")
    (tmp_path / "a.txt").symlink_to("..data/a.txt")
    (tmp_path / "sub").symlink_to("..data/sub")
    assert found(tmp_path) == (["a.txt", "sub/b.txt"], [])


def test_a_linked_folder_is_followed(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/x.txt", "elsewhere/deep/y.txt", "data/a.txt")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path / "data") == (["a.txt", "linked/deep/y.txt", "linked/x.txt"], [])


def test_circles_of_links_end(tmp_path: Path) -> None:
    write(tmp_path, "a/1.txt", "b/2.txt")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "other").symlink_to("../b")
    (tmp_path / "b" / "other").symlink_to("../a")
    (tmp_path / "self.txt").symlink_to("self.txt")
    names, warnings = found(tmp_path)
    assert names == ["a/1.txt", "b/2.txt"]
    assert [line.partition(": ")[2].partition(" is left")[0] for line in warnings] == [
        str(tmp_path / name) for name in ("self.txt", "a/other", "a/up", "b/other")
    ]


def test_link_to_a_parent_folder_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "data/a.txt", "data/sub/b.txt", "private.txt")
    (tmp_path / "data" / "sub" / "up").symlink_to("../..")
    (tmp_path / "data" / "up").symlink_to("..")
    names, warnings = found(tmp_path / "data")
    assert names == ["a.txt", "sub/b.txt"]
    assert all("leads back to a folder that contains it" in line for line in warnings)
    assert len(warnings) == 2


def test_a_folder_is_a_folder_whatever_its_name(tmp_path: Path) -> None:
    write(tmp_path, "train/book.txt/1.txt", "train/book.txt/2.txt", "valid.txt", "test.txt/t.txt")
    splits, _ = find_splits(tmp_path)
    assert [str(p.relative_to(tmp_path)) for p in splits["train"].files] == [
        "train/book.txt/1.txt",
        "train/book.txt/2.txt",
    ]
    assert [p.name for p in splits["test"].files] == ["t.txt"]


def test_special_files_are_left_out_with_a_warning(tmp_path: Path) -> None:
    write(tmp_path, "a.TXT", "b.Txt.GZ")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "gone.txt").symlink_to("nothing")
    names, warnings = found(tmp_path)
    assert names == ["a.TXT", "b.Txt.GZ"]
    assert len(warnings) == 2
    assert "gone.txt is left out: the target of this link does not exist" in warnings[0]
    assert "pipe.txt is left out: it is a pipe" in warnings[1]


def test_a_folder_that_vanishes_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"cannot read .*missing: No such file"):
        text_files(tmp_path / "missing", print)
