"""Locks of jobs on file systems with and without flock."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from service.bulk.resume.lock import lock_file
from service.errors import JobError


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def _without_flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", unsupported)


@pytest.mark.usefixtures("_without_flock")
def test_without_flock_the_creator_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.lock"
    with lock_file(path):
        with pytest.raises(JobError, match=r"out\.jsonl\.lock exists, .* remove it if no job"):
            lock_file(path).__enter__()
        assert path.read_bytes() == f"tiedlm job {os.getpid()}\n".encode()
    assert not path.exists()


@pytest.mark.usefixtures("_without_flock")
def test_without_flock_a_left_lock_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.lock"
    path.write_bytes(b"tiedlm job 1\n")
    with pytest.raises(JobError, match="this file system has no locks"):
        lock_file(path).__enter__()
    assert path.read_bytes() == b"tiedlm job 1\n"


def test_other_errors_of_flock_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", failing)
    with pytest.raises(OSError, match="Input/output error"):
        lock_file(tmp_path / "out.jsonl.lock").__enter__()
