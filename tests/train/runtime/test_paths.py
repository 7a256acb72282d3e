"""Tests that outputs which would replace an input are refused, and nothing is changed."""

import os
from pathlib import Path

import pytest

from tests.support.tiny_training import contents
from tests.support.train_command import Capture, Train, fails
from train import natural_text
from train.__main__ import main


def untouched(folder: Path) -> dict[str, bytes]:
    """Return all files and the names of all folders, without matplotlib's cache of fonts."""
    folders = {str(p.relative_to(folder)): b"" for p in folder.rglob("*") if p.is_dir()}
    found = contents(folder) | folders
    return {name: content for name, content in found.items() if not name.startswith("cache")}


def refused(train: Train, capsys: Capture, *more: str) -> str:
    before = untouched(train.data.parent)
    line = fails(train, capsys, *more)
    assert untouched(train.data.parent) == before
    return line


def test_the_output_is_never_the_text(train: Train, capsys: Capture) -> None:
    train.out = train.data
    assert "is --data itself" in refused(train, capsys)
    train.out = train.data.parent / "x" / ".." / "data"
    (train.data.parent / "x").mkdir()
    assert "is --data itself" in refused(train, capsys)
    train.out = train.data.parent / "link"
    train.out.symlink_to(train.data)
    assert "is --data itself" in refused(train, capsys)
    train.out = train.data = train.data / "train.txt"
    assert "is --data itself" in fails(train, capsys)


def test_text_and_output_are_not_inside_each_other(train: Train, capsys: Capture) -> None:
    folder = train.data.parent
    (folder / "link").symlink_to(train.data)
    for out in (train.data / "run", train.data / "a" / "b", folder / "link" / "run"):
        train.out = out
        assert "is inside --data" in refused(train, capsys)
    train.out = folder
    assert f"--data {train.data} is inside --out" in refused(train, capsys)
    train.out, train.data = folder / "data", folder / "data" / "train.txt"
    assert "train.txt is inside --out" in refused(train, capsys)


def test_a_linked_text_is_not_inside_the_output(train: Train, capsys: Capture) -> None:
    train.out.mkdir()
    inside = train.out / "notes.txt"
    inside.write_bytes((train.data / "test.txt").read_bytes())
    (train.data / "test.txt").unlink()
    (train.data / "test.txt").symlink_to(inside)
    line = refused(train, capsys)
    assert "test.txt is inside the output" in line


def test_the_configuration_is_not_inside_the_output(train: Train, capsys: Capture) -> None:
    train.out = train.config.parent / "new"
    train.out.mkdir()
    train.config = train.config.rename(train.out / "toy.toml")
    assert "toy.toml is inside --out" in refused(train, capsys)


def test_a_checkpoint_goes_on_from_its_own_configuration(train: Train) -> None:
    assert train("--set", "train.epochs=1") == 0
    train.config = train.out / "config.json"
    before = contents(train.out)
    assert train() == 0
    assert contents(train.out) == before


def test_the_tensorboard_folder_is_apart_from_the_text(train: Train, capsys: Capture) -> None:
    assert "is inside --data" in refused(train, capsys, "--tensorboard", str(train.data))
    train.out = train.out.parent / "runs" / "data"
    line = refused(train, capsys, "--tensorboard", str(train.data.parent))
    assert "the TensorBoard folder" in line
    assert "is --data itself" in line


@pytest.mark.parametrize("name", ["report.json", "README.md", "model.pt", "learning_curve.png"])
def test_a_report_never_replaces_a_checkpoint_file(runs: Path, capsys: Capture, name: str) -> None:
    hard, soft = runs / "hard.md", runs / "soft.md"
    os.link(runs / "one" / name, hard)
    soft.symlink_to(runs / "one" / name)
    before = untouched(runs)
    for page in (runs / "one" / name, hard, soft):
        for more in ([], ["--overwrite"]):
            assert main(["report", str(runs / "one"), "--out", str(page), *more]) == 1
            assert "is a file of the checkpoint" in capsys.readouterr().err
            assert untouched(runs) == before


def test_report_pictures_never_go_to_a_checkpoint(runs: Path, capsys: Capture) -> None:
    (runs / "one").rename(runs / "page_files")
    before = untouched(runs)
    assert main(["report", str(runs / "page_files"), "--out", str(runs / "page.md")]) == 1
    assert "which is a checkpoint" in capsys.readouterr().err
    assert untouched(runs) == before


def test_a_report_replaces_reports_alone_unless_told(runs: Path, capsys: Capture) -> None:
    page = runs / "page.md"
    page.write_text("# My notes\n", encoding="utf-8")
    arguments = ["report", str(runs / "one"), "--out", str(page)]
    assert main(arguments) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == "# My notes\n"
    assert main([*arguments, "--overwrite"]) == 0
    assert main(arguments) == 0
    assert page.read_text(encoding="utf-8").startswith("# Training report\n")


def test_a_new_page_never_replaces_pictures_unless_told(runs: Path, capsys: Capture) -> None:
    picture = runs / "page_files" / "perplexity_over_tokens.png"
    picture.parent.mkdir()
    picture.write_bytes(b"mine")
    arguments = ["report", str(runs / "one"), "--out", str(runs / "page.md")]
    before = untouched(runs)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert f"{picture} already exists" in error
    assert "--overwrite" in error
    assert untouched(runs) == before
    assert main([*arguments, "--overwrite"]) == 0
    assert main(arguments) == 0


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_a_page_is_never_a_stream(runs: Path, capsys: Capture, more: list[str]) -> None:
    os.mkfifo(runs / "fifo")
    before = sorted(runs.rglob("*"))
    for page in (runs / "fifo", "/dev/stdout", "/dev/null", "/dev/fd/1"):
        assert main(["report", str(runs / "one"), "--out", str(page), *more]) == 1
        error = capsys.readouterr().err
        assert f"--out {page} is not a regular file" in error
        assert error.count("\n") == 1
    assert sorted(runs.rglob("*")) == before


def test_natural_text_never_replaces_its_source(tmp_path: Path, capsys: Capture) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "train.txt").write_text("a @-@ b\n", encoding="utf-8")
    (tmp_path / "link").symlink_to(source)
    for target in (source, tmp_path / "link"):
        assert natural_text.main([str(source), str(target), "--overwrite"]) == 1
        assert "is IN itself" in capsys.readouterr().err
    assert contents(source) == {"train.txt": b"a @-@ b\n"}
    out.mkdir()
    (out / "train.txt").write_text("other\n", encoding="utf-8")
    assert natural_text.main([str(source), str(out)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert contents(out) == {"train.txt": b"other\n"}
    assert natural_text.main([str(source), str(out), "--overwrite"]) == 0
    assert contents(out) == {"train.txt": b"a-b\n"}
