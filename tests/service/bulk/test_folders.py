"""Folders as inputs: the files that are read, their order, and notes about the others."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.bulk.input.files import list_files
from service.errors import JobError
from tests.support.bulk_job import Jobs, rows


def make(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("The river\n")
    return folder


def found(folder: Path) -> list[str]:
    """Return the files of a folder, relative to it."""
    return [str(path.relative_to(folder)) for path in list_files([folder])[0]]


def notes(folder: Path) -> list[str]:
    """Return the notes about a folder, without its path."""
    return [
        note.replace(f"{folder}/", "").replace(str(folder), ".") for note in list_files([folder])[1]
    ]


def test_a_linked_sub_folder_is_read(jobs: Jobs, tmp_path: Path) -> None:
    make(tmp_path, "corpus/a.txt", "elsewhere/b.txt", "elsewhere/deep/c.txt")
    (tmp_path / "corpus/linked").symlink_to(tmp_path / "elsewhere")
    jobs.summary(tmp_path / "corpus", "--out", tmp_path / "out.jsonl")
    read = [row["input"] for row in rows(tmp_path / "out.jsonl")]
    names = ("a.txt", "linked/b.txt", "linked/deep/c.txt")
    assert read == [str(tmp_path / "corpus" / name) for name in names]
    assert jobs.errors == ""


def test_a_link_inside_a_linked_folder_is_followed(tmp_path: Path) -> None:
    make(tmp_path, "corpus/a.txt", "second/b.txt", "third/c.txt")
    (tmp_path / "corpus/second").symlink_to(tmp_path / "second")
    (tmp_path / "second/third").symlink_to("../third")
    assert found(tmp_path / "corpus") == ["a.txt", "second/b.txt", "second/third/c.txt"]


@pytest.mark.parametrize("target", [".", "..", "../..", "../../.."])
def test_links_to_outer_folders_are_left_out(tmp_path: Path, target: str) -> None:
    corpus = make(tmp_path / "corpus", "a.txt", "sub/b.txt")
    make(tmp_path, "beside.txt")
    (corpus / "sub/round").symlink_to(target)
    assert found(corpus) == ["a.txt", "sub/b.txt"]
    assert notes(corpus) == [
        "sub/round is left out: this link leads back to a folder that contains it"
    ]


def test_two_folders_that_link_each_other_end(tmp_path: Path) -> None:
    make(tmp_path, "a/a.txt", "b/b.txt")
    (tmp_path / "a/to_b").symlink_to("../b")
    (tmp_path / "b/to_a").symlink_to("../a")
    assert found(tmp_path) == ["a/a.txt", "b/b.txt"]
    assert notes(tmp_path) == [
        "a/to_b is left out: it is the same folder as b",
        "b/to_a is left out: it is the same folder as a",
    ]
    assert found(tmp_path / "a") == ["a.txt", "to_b/b.txt"]


def test_many_folders_that_link_all_others_end(tmp_path: Path) -> None:
    names = [f"f{number:02}" for number in range(25)]
    for name in names:
        make(tmp_path, f"{name}/text.txt")
        for other in names:
            (tmp_path / name / other).symlink_to(f"../{other}")
    assert found(tmp_path) == [f"{name}/text.txt" for name in names]


def test_a_folder_linked_twice_is_read_once(tmp_path: Path) -> None:
    make(tmp_path, "corpus/2024/a.txt", "outside/b.txt")
    corpus = tmp_path / "corpus"
    (corpus / "latest").symlink_to("2024")
    (corpus / "one").symlink_to("../outside")
    (corpus / "two").symlink_to("../outside")
    assert found(corpus) == ["2024/a.txt", "one/b.txt"]
    assert notes(corpus) == [
        "latest is left out: it is the same folder as 2024",
        "two is left out: it is the same folder as one",
    ]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "._a.txt", ".ipynb_checkpoints/b.txt", "_SUCCESS", "_temporary/c.txt")
    make(tmp_path, "..2024_11_25/d.txt")
    (tmp_path / "..data").symlink_to("..2024_11_25")
    (tmp_path / "d.txt").symlink_to("..data/d.txt")  # as Kubernetes mounts a ConfigMap
    assert found(tmp_path) == ["a.txt", "d.txt"]
    assert notes(tmp_path) == []


def test_a_hidden_input_is_read_when_named(tmp_path: Path) -> None:
    make(tmp_path, ".corpus/a.txt", "_part.txt")
    assert found(tmp_path / ".corpus") == ["a.txt"]
    assert list_files([tmp_path / "_part.txt"]) == ([tmp_path / "_part.txt"], [])


def test_a_folder_with_a_files_suffix_is_read(jobs: Jobs, tmp_path: Path) -> None:
    make(tmp_path, "in/book.txt/1.txt", "in/b.jsonl.gz/x", "in/book.parquet/y.txt")
    summary = jobs.summary(tmp_path / "in", "--out", tmp_path / "out.jsonl")
    assert summary["documents"] == 3
    assert summary["problems"] == {}


def test_files_are_in_the_order_of_names(tmp_path: Path) -> None:
    make(tmp_path, "b/z.txt", "b.txt", "a/x/1.txt", "a/x.txt", "a-b/1.txt", "B.txt", "é.txt")
    order = ["B.txt", "a/x/1.txt", "a/x.txt", "a-b/1.txt", "b/z.txt", "b.txt", "é.txt"]
    assert found(tmp_path) == order


def test_entries_that_are_not_files_are_warned_about(jobs: Jobs, tmp_path: Path) -> None:
    corpus = make(tmp_path / "corpus", "a.txt")
    os.mkfifo(corpus / "pipe")
    (corpus / "dangling").symlink_to("nothing")
    (corpus / "itself").symlink_to("itself")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(corpus / "socket"))
        jobs.summary(corpus, "--out", tmp_path / "out.jsonl")
    reasons = {
        "dangling": "the target of this link does not exist",
        "itself": "the target of this link does not exist",
        "pipe": "it is a pipe, a socket or a device",
        "socket": "it is a pipe, a socket or a device",
    }
    lines = [f"warning: {corpus}/{name} is left out: {why}" for name, why in reasons.items()]
    assert jobs.errors.splitlines() == lines


def test_warnings_of_a_folder_are_few(jobs: Jobs, tmp_path: Path) -> None:
    corpus = make(tmp_path / "corpus", "a.txt")
    for number in range(30):
        (corpus / f"link{number:02}").symlink_to("nothing")
    jobs.summary(corpus, "--out", tmp_path / "out.jsonl")
    lines = jobs.errors.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "warning: 20 more like these"


def test_a_vanished_folder_is_warned_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.txt", "gone/b.txt", "later/c.txt")
    iterdir = Path.iterdir

    def vanishing(path: Path) -> Iterator[Path]:
        if path.name == "gone":
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return iter(iterdir(path))

    monkeypatch.setattr(Path, "iterdir", vanishing)
    assert found(tmp_path) == ["a.txt", "later/c.txt"]
    assert notes(tmp_path) == ["gone is left out: it no longer exists"]


def test_an_unreadable_folder_is_one_line(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a.txt", "locked/b.txt")
    iterdir = Path.iterdir

    def locked(path: Path) -> Iterator[Path]:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return iter(iterdir(path))

    monkeypatch.setattr(Path, "iterdir", locked)
    assert jobs(tmp_path, "--out", tmp_path / "out.jsonl") == 1
    assert jobs.errors == f"error: {tmp_path}/locked: Permission denied\n"


def test_missing_inputs_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    make(tmp_path, "hidden/.a.txt")
    for name in ("empty", "hidden"):
        with pytest.raises(JobError, match="this folder has no files"):
            list_files([tmp_path / name])
    with pytest.raises(JobError, match=r"missing: no such file"):
        list_files([tmp_path / "missing"])
    with pytest.raises(JobError, match="File name too long"):
        list_files([tmp_path / ("x" * 300)])


def test_deeply_nested_folders_are_read(tmp_path: Path) -> None:
    depth = (1000 - len(str(tmp_path))) // 2
    deep = tmp_path.joinpath(*["d"] * depth)
    deep.mkdir(parents=True)
    (deep / "a.txt").write_text("a\n")
    assert list_files([tmp_path]) == ([deep / "a.txt"], [])
