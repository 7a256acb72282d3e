"""A folder or a file that one process at a time writes. The kernel releases it from a process that
is killed. Windows and some network file systems have no lock: there nothing is held.
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
    fcntl = None  # type: ignore[assignment]  # of Windows

from train.errors import BusyError

NAME = ".lock"
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)  # of a file system
HELP = "wait until it ends, stop it, or give another --out"


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold `folder`, which is made if need be. It goes again where nothing was put in it.

    Raises BusyError, which names the process that holds it, OSError.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _held(folder / NAME, folder):
            yield
    finally:
        _remove_empty(made)


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Hold `path` while it is written. Raises BusyError, OSError."""
    folder = path.parent
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _held(folder / f".{path.name}{NAME}", path):
            yield
    finally:
        _remove_empty(made)


@contextmanager
def _held(lock: Path, what: Path) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    file = _take(lock, what)
    try:
        with suppress(OSError):  # on a full disk the lock holds without its owner's name
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()} {socket.gethostname()}".encode(), 0)
        yield
    finally:
        with suppress(OSError):  # before it is released: who waits finds it gone and begins again
            lock.unlink()
        os.close(file)


def _take(lock: Path, what: Path) -> int:
    """Return a descriptor that holds the lock, if there are locks, and is the file of that name."""
    while True:
        file = _open(lock)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_there(lock, file):
                return file
        except BlockingIOError:
            owner = os.pread(file, 200, 0).decode(errors="replace").split()
            os.close(file)
            raise BusyError(f"{what} is in use: {_named(owner)} writes it; {HELP}") from None
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
    except FileNotFoundError:  # another process has just removed the folder, which it left empty
        lock.parent.mkdir(parents=True, exist_ok=True)
        return os.open(lock, flags, 0o666)


def _named(owner: list[str]) -> str:
    if len(owner) != 2:
        return "another process"
    pid, host = owner
    return f"process {pid}" + ("" if host == socket.gethostname() else f" on {host}")


def _is_there(lock: Path, file: int) -> bool:
    try:
        return os.path.samestat(lock.stat(follow_symlinks=False), os.fstat(file))
    except FileNotFoundError:
        return False


def _remove_empty(folders: list[Path]) -> None:
    """The innermost first, as far as they are empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
