"""Files that are replaced whole and durably."""

import errno
import os
import stat
from pathlib import Path

import pytest

from service.bulk.resume.state import JobState
from service.errors import OutputError
from service.files.atomic import replace_durably, write_atomically


@pytest.mark.parametrize("name", [None, "page.new"])
def test_bytes_then_the_name_reach_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    page, partial = tmp_path / "page", name and tmp_path / name
    page.write_bytes(b"old")
    seen: list[tuple[str, bytes]] = []
    sync = os.fsync

    def record(descriptor: int) -> None:
        sync(descriptor)
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        seen.append((kind, page.read_bytes()))
        if kind == "folder":
            raise OSError(errno.EINVAL, "as on file systems that cannot")

    monkeypatch.setattr(os, "fsync", record)
    write_atomically(page, b"new", partial or None)
    assert seen == [("file", b"old"), ("folder", b"new")]
    assert list(tmp_path.iterdir()) == [page]


def test_an_old_partial_file_is_overwritten(tmp_path: Path) -> None:
    page = tmp_path / "page"
    (tmp_path / "page.new").write_bytes(b"longer than what follows")
    write_atomically(page, b"new", tmp_path / "page.new")
    assert page.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [page]


def test_a_link_as_partial_file_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"years of work")
    (tmp_path / "page.new").symlink_to("mine")
    with pytest.raises(OutputError, match=r"page\.new is a symbolic link; remove it"):
        write_atomically(tmp_path / "page", b"new", tmp_path / "page.new")
    assert (tmp_path / "page.new").is_symlink()
    assert (tmp_path / "mine").read_bytes() == b"years of work"


def test_a_failed_state_leaves_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "out.jsonl.state"
    JobState(job={"bundle": "a"}).save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        JobState(job={"bundle": "b"}).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_synced_before_and_after_its_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial, folder = tmp_path / "parts.partial", tmp_path / "parts"
    partial.mkdir()
    (partial / "part").write_bytes(b"new")
    synced: list[tuple[int, bool]] = []
    sync = os.fsync

    def record(descriptor: int) -> None:
        sync(descriptor)
        synced.append((os.fstat(descriptor).st_ino, folder.exists()))

    monkeypatch.setattr(os, "fsync", record)
    replace_durably(partial, folder)
    assert synced == [(folder.stat().st_ino, False), (tmp_path.stat().st_ino, True)]
    assert (folder / "part").read_bytes() == b"new"
