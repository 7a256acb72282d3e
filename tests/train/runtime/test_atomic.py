import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_training import contents, full_disk
from train.runtime.atomic import move_folder, write_file


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_file(path, b"one")
    write_file(path, b"")
    assert contents(tmp_path) == {"a.bin": b""}
    write_file(path, b"\x00two\r\n")
    assert contents(tmp_path) == {"a.bin": b"\x00two\r\n"}


def test_a_full_disk_leaves_the_old_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_file(path, b"old")
    with full_disk(1000), pytest.raises(OSError, match="File too large"):
        write_file(path, b"n" * 1001)
    assert contents(tmp_path) == {"a.bin": b"old"}


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_failure_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, failure: BaseException
) -> None:
    path = tmp_path / "a.bin"
    write_file(path, b"old")

    def fail(*_: Any) -> None:
        raise failure

    if where == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(type(failure)):
        write_file(path, b"new")
    assert contents(tmp_path) == {"a.bin": b"old"}


def test_bytes_then_the_name_reach_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    write_file(path, b"old")
    seen: list[tuple[bytes, bytes] | str] = []
    sync = os.fsync

    def record(descriptor: int) -> None:
        sync(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            seen.append(f"folder of {path.read_text(encoding='utf-8')}")
            raise OSError(errno.EINVAL, "some file systems cannot sync a folder")
        seen.append((path.read_bytes(), (tmp_path / ".a.bin.partial").read_bytes()))

    monkeypatch.setattr(os, "fsync", record)
    write_file(path, b"new")
    assert seen == [(b"old", b"new"), "folder of new"]


def test_moved_folder_is_synced_before_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial, target = tmp_path / "partial", tmp_path / "target"
    partial.mkdir()
    write_file(partial / "a.bin", b"new")
    synced: list[tuple[Path, bool]] = []
    monkeypatch.setattr(
        "train.runtime.atomic.sync_folder", lambda folder: synced.append((folder, target.exists()))
    )
    move_folder(partial, target)
    assert synced == [(partial, False), (tmp_path, True)]
    assert contents(tmp_path) == {"target/a.bin": b"new"}
    partial.mkdir()
    with pytest.raises(OSError, match="not empty"):
        move_folder(partial, target)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_file(tmp_path / "missing" / "a.bin", b"x")
    assert "missing" in str(caught.value.filename)
    assert contents(tmp_path) == {}
