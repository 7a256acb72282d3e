"""Locks of output folders and files, so that one process at a time writes them.

The kernel releases the lock of a killed process. Windows and some network file systems have no such
locks: there nothing is locked.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]  # Windows has no fcntl

from train.errors import BusyError

NAME = ".lock"
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # no support for locks
HELP = "wait until it ends, stop it, or give another --out"


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Lock `folder`, and create it if it is missing. Remove it again if it is left empty.

    Raises OSError; BusyError, which names the process that holds the lock.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(folder / NAME, folder):
            yield
    finally:
        _remove_empty(made)


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Lock `path` while it is written. Raises OSError, BusyError."""
    folder = path.parent
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(folder / f".{path.name}{NAME}", path):
            yield
    finally:
        _remove_empty(made)


@contextmanager
def _locked(lock: Path, what: Path) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    file = _acquire(lock, what)
    try:
        with suppress(OSError):  # on a full disk, lock without writing the owner
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()} {socket.gethostname()}".encode(), 0)
        yield
    finally:
        with suppress(OSError):  # unlink first: a process that waits must create a new file
            lock.unlink()
        os.close(file)


def _acquire(lock: Path, what: Path) -> int:
    """Return a descriptor of the file `lock`, locked if the file system has locks.

    Raises BusyError, OSError.
    """
    while True:
        file = _open(lock)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same_file(lock, file):
                return file
        except BlockingIOError:
            owner = os.pread(file, 200, 0).decode(errors="replace").split()
            os.close(file)
            raise BusyError(f"{what} is in use: {_owner_name(owner)} writes it; {HELP}") from None
        except OSError as error:
            if error.errno in NO_LOCKS:
                return file
            os.close(file)
            raise
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _open(lock: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    try:
        return os.open(lock, flags, 0o666)
    except FileNotFoundError:  # another process has just removed the empty folder
        lock.parent.mkdir(parents=True, exist_ok=True)
        return os.open(lock, flags, 0o666)


def _owner_name(owner: list[str]) -> str:
    if len(owner) != 2:
        return "another process"
    pid, host = owner
    return f"process {pid}" + ("" if host == socket.gethostname() else f" on {host}")


def _is_same_file(lock: Path, file: int) -> bool:
    """Return whether `lock` is still the name of the open `file`."""
    try:
        return os.path.samestat(lock.stat(follow_symlinks=False), os.fstat(file))
    except FileNotFoundError:
        return False


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, the innermost first, until one is not empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
