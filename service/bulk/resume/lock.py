"""Lock files: two jobs never write the same output at once."""

import errno
import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from service.bulk.resume.ownership import LOCK
from service.errors import JobError, OutputError
from service.files.atomic import open_regular

LOCK_BYTES = 64
# Errors of flock on file systems without locks, such as NFS without its lock daemon.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold a lock file for one process.

    Afterwards the file is removed if it has the number of this process. An empty file that existed
    before may belong to another program, so it is locked, but neither written nor removed.

    Raises JobError if another process holds the lock or the folder does not exist, and OutputError
    for a link or a file that is not a lock.
    """
    try:
        file = _acquire(path)
    except BlockingIOError:
        raise JobError(
            f"{path}: another job writes this output; wait for it, or give another --out"
        ) from None
    except FileNotFoundError:
        raise JobError(f"{path.parent}: no such folder") from None
    with file:
        try:
            yield
        finally:
            file.seek(0)
            if file.read(LOCK_BYTES) == _own_content() and _is_at(path, file):
                path.unlink(missing_ok=True)


def _acquire(path: Path) -> IO[bytes]:
    while True:
        try:
            file, is_new = _open(path)
        except FileNotFoundError:
            if path.parent.is_dir():
                continue  # the job that held the lock has just removed it
            raise
        try:
            content = file.read(LOCK_BYTES)
            if content and not LOCK.fullmatch(content):
                raise OutputError(f"{path} is not a lock of a job; remove it")
            _flock(path, file, is_new)
            # The job that held the lock may have removed the file after it was opened here.
            if _is_at(path, file):
                if is_new or content:
                    file.seek(0)
                    file.truncate()
                    file.write(_own_content())
                    file.flush()
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _flock(path: Path, file: IO[bytes], is_new: bool) -> None:
    """Lock a file. Raises BlockingIOError if another process holds it.

    On a file system without locks the process that created the file holds it. Others are refused
    with a JobError, because a running job and a killed one look the same.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        if not is_new:
            raise JobError(
                f"{path} exists, and this file system has no locks; remove it if no job writes "
                "there"
            ) from None


def _open(path: Path) -> tuple[IO[bytes], bool]:
    """Return the file, and whether it is new."""
    try:
        return open_regular(path, "x+b"), True
    except FileExistsError:
        pass
    try:
        return open_regular(path, "r+b"), False
    except io.UnsupportedOperation:  # a FIFO
        raise OutputError(f"{path} is not a regular file; remove it") from None


def _is_at(path: Path, file: IO[bytes]) -> bool:
    return os.path.lexists(path) and os.path.samestat(os.fstat(file.fileno()), path.lstat())


def _own_content() -> bytes:
    return f"tiedlm job {os.getpid()}\n".encode()
