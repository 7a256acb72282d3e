"""Which files a job reads, in which order, and how their names are written.

    INPUT… → files of folders, in the order of their names; single files; streams

docs/texts.md has the rules for folders. They are the trainer's too.
"""

import errno
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from service.errors import JobError
from service.files.outputs import STANDARD_INPUT, is_stream

STANDARD_INPUT_NAMES = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
HIDDEN = (".", "_")
NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

Key = tuple[int, int]  # device and inode: what a folder is, under whatever name


def named(argument: str) -> Path:
    """Return the path of an INPUT. `-` is standard input; `./-` is a file of that name."""
    if not argument:
        raise JobError("an INPUT is empty; name a file or a folder, or - for standard input")
    return STANDARD_INPUT if argument in STANDARD_INPUT_NAMES else Path(argument)


def printable(text: str) -> str:
    """Return `text` with every byte that is not UTF-8 as `\\xNN`. Names of files may hold them,
    and Python keeps them as lone surrogates, which neither JSON nor Parquet can hold.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()


def size(path: Path) -> int:
    """Return the size in bytes on the disk, 0 for a stream. Raises OSError."""
    return 0 if is_stream(path) else path.stat().st_size


def open_input(path: Path) -> IO[bytes]:
    """Raises OSError. Standard input is read on from where it stands, and stays open."""
    return open(0, "rb", closefd=False) if path == STANDARD_INPUT else path.open("rb")


def files(inputs: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Return the files of all inputs, and a line for each thing in a folder that was left out.

    Raises JobError for an input that is not there, a folder that cannot be read or has no files,
    and standard input that is closed or given twice.
    """
    found: list[Path] = []
    notes: list[str] = []
    for path in inputs:
        try:
            if path == STANDARD_INPUT or not stat.S_ISDIR(path.stat().st_mode):
                found.append(path)
                continue
            inside = _Folder(path, notes).files()
        except FileNotFoundError:
            raise JobError(f"{path}: no such file or folder") from None
        except OSError as error:
            raise JobError(f"{error.filename or path}: {error.strerror or error}") from None
        if not inside:
            raise JobError(
                f"{path}: this folder has no files; hidden ones (.… and _…) are left out"
            )
        found += inside
    if STANDARD_INPUT in found and sys.stdin is None:  # another file has its number by now
        raise JobError("standard input is closed")
    if found.count(STANDARD_INPUT) > 1:
        raise JobError("standard input is given twice, and can be read only once")
    return found, notes


class _Folder:
    """The files in a folder and its sub-folders, linked ones too; each folder is read once."""

    def __init__(self, path: Path, notes: list[str]) -> None:
        self._root = path
        self._notes = notes
        self._seen: dict[Key, Path] = {}

    def files(self) -> list[Path]:
        """Raises OSError. Folders that stand here themselves come before links to them, so that a
        file has its own name where it has two.
        """
        found: list[Path] = []
        folders = [self._root]
        self._seen[_key(self._root)] = self._root
        while folders:
            links: list[Path] = []
            for folder in folders:
                found += self._walk(folder, links)
            folders = [link for link in sorted(links) if self._is_new(link)]
        return sorted(found)

    def _walk(self, root: Path, links: list[Path]) -> Iterator[Path]:
        """Yield the files below `root`, and collect the links to folders."""
        folders = [root]
        while folders:
            folder = folders.pop()
            try:
                inside = sorted(folder.iterdir())
            except FileNotFoundError:
                self._leave_out(folder, "it is gone")
                continue
            for path in inside:
                if path.name.startswith(HIDDEN):
                    continue
                try:
                    mode = path.stat().st_mode
                except OSError as error:
                    if error.errno not in NOWHERE:
                        raise
                    self._leave_out(path, "this link leads nowhere")
                    continue
                if stat.S_ISREG(mode):
                    yield path
                elif not stat.S_ISDIR(mode):
                    self._leave_out(path, "it is a pipe, a socket or a device")
                elif path.is_symlink():
                    links.append(path)
                elif self._is_new(path):
                    folders.append(path)

    def _is_new(self, folder: Path) -> bool:
        key = _key(folder)
        if folder.is_symlink() and key in map(_key, (folder.parent / "x").resolve().parents):
            self._leave_out(folder, "this link leads back to a folder that it stands in")
            return False
        if (first := self._seen.setdefault(key, folder)) is not folder:
            self._leave_out(folder, f"it is the same folder as {printable(str(first))}")
            return False
        return True

    def _leave_out(self, path: Path, reason: str) -> None:
        self._notes.append(f"{printable(str(path))} is left out: {reason}")


def _key(path: Path) -> Key:
    found = path.stat()
    return found.st_dev, found.st_ino
