"""Tests that one process at a time writes an output."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.tiny_training import ROOT, contents
from tests.support.train_command import Capture, Train, fails
from train import natural_text
from train.__main__ import main
from train.errors import BusyError
from train.runtime.lock import locked_file, locked_folder

HOLD = """
import sys, time
from pathlib import Path
from train.runtime import lock
with getattr(lock, sys.argv[1])(Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def held(kind: str, path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start another process that holds a lock until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, kind, str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_run_names_the_first_one(train: Train, capsys: Capture) -> None:
    with held("locked_folder", train.out) as other:
        before = contents(train.out)
        line = fails(train, capsys)
        assert f"{train.out} is in use: process {other.pid} writes it" in line
        assert contents(train.out) == before
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert train() == 0  # the kernel released it
    assert json.loads((train.out / "report.json").read_text(encoding="utf-8"))["epochs"] == 2
    assert ".lock" not in contents(train.out)


def test_a_finished_run_is_read_without_a_lock(train: Train) -> None:
    assert train() == 0
    with held("locked_folder", train.out):
        assert train() == 0


def test_a_second_tensorboard_log_is_refused(train: Train, capsys: Capture) -> None:
    board = train.data.parent / "board"
    with held("locked_file", board / "out" / "tensorboard") as other:
        line = fails(train, capsys, "--tensorboard", str(board))
        assert f"process {other.pid} writes it" in line
        assert not train.out.exists()


def test_a_second_report_of_a_page_is_refused(runs: Path, capsys: Capture) -> None:
    page = runs / "new" / "page.md"
    with held("locked_file", page) as other:
        assert main(["report", str(runs / "one"), "--out", str(page)]) == 1
        assert f"process {other.pid} writes it" in capsys.readouterr().err
        assert not page.exists()
    assert main(["report", str(runs / "one"), "--out", str(page)]) == 0
    assert {name.split("/")[0] for name in contents(page.parent)} == {"page.md", "page_files"}


def test_natural_text_locks_its_folder(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("a\n", encoding="utf-8")
    with held("locked_folder", tmp_path / "out") as other:
        assert natural_text.main([str(tmp_path / "in"), str(tmp_path / "out")]) == 1
        assert f"process {other.pid} writes it" in capsys.readouterr().err


def test_a_lock_follows_no_link(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("text", encoding="utf-8")
    (tmp_path / ".page.md.lock").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"), locked_file(tmp_path / "page.md"):
        pass
    assert precious.read_text(encoding="utf-8") == "text"


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked_folder(tmp_path / "out"):
        (tmp_path / "out" / "a").write_bytes(b"a")
    assert contents(tmp_path) == {"out/a": b"a"}


def test_another_failure_of_a_lock_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="Input/output"), locked_folder(tmp_path / "out"):
        pass


def test_a_folder_that_another_removed_is_remade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[Path] = []
    opened = os.open

    def remove_first(path: Path, *rest: int) -> int:
        if not removed:
            removed.append(path.parent)
            path.parent.rmdir()
        return opened(path, *rest)

    monkeypatch.setattr(os, "open", remove_first)
    with locked_folder(tmp_path / "out"):
        assert (tmp_path / "out" / ".lock").exists()
    assert removed == [tmp_path / "out"]
    assert list(tmp_path.iterdir()) == []


def test_folders_made_for_a_lock_go_again(tmp_path: Path) -> None:
    with locked_folder(tmp_path / "a" / "b"):
        busy = pytest.raises(BusyError, match=f"process {os.getpid()}")
        with busy, locked_folder(tmp_path / "a" / "b"):
            pass
        assert (tmp_path / "a" / "b" / ".lock").exists()
    assert list(tmp_path.iterdir()) == []
