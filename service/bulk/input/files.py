"""Input files of a job: their order, and their names in outputs and messages.

    INPUT… → files of folders, sorted by name; single files; streams

docs/texts.md has the rules for folders. The trainer has the same rules.
"""

import errno
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from service.errors import JobError
from service.files.streams import STANDARD_INPUT, is_stream

STANDARD_INPUT_NAMES = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
HIDDEN_PREFIXES = (".", "_")
BROKEN_LINK_ERRORS = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

FolderKey = tuple[int, int]  # device and inode: the identity of a folder under any name


def input_argument(argument: str) -> Path:
    """Return the path of an INPUT. `-` is standard input; `./-` is a file of that name."""
    if not argument:
        raise JobError("an INPUT is empty; name a file or a folder, or - for standard input")
    return STANDARD_INPUT if argument in STANDARD_INPUT_NAMES else Path(argument)


def printable(text: str) -> str:
    """Return `text` with each byte that is not UTF-8 as `\\xNN`.

    File names may contain such bytes. Python keeps them as lone surrogates, which neither JSON nor
    Parquet can hold.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()


def size_on_disk(path: Path) -> int:
    """Return the size in bytes, 0 for a stream. Raises JobError."""
    try:
        return 0 if is_stream(path) else path.stat().st_size
    except OSError as error:
        raise JobError(f"{path}: {error.strerror or error}") from None


def open_input(path: Path) -> IO[bytes]:
    """Open an input. Raises OSError. Standard input continues at its position, and stays open."""
    return open(0, "rb", closefd=False) if path == STANDARD_INPUT else path.open("rb")


def list_files(inputs: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Return the files of all inputs, and a note for each entry of a folder that is left out.

    Raises JobError for an input that does not exist, a folder that cannot be read or has no files,
    and standard input that is closed or given twice.
    """
    files: list[Path] = []
    notes: list[str] = []
    for path in inputs:
        try:
            if path == STANDARD_INPUT or not stat.S_ISDIR(path.stat().st_mode):
                files.append(path)
                continue
            inside = _FolderWalk(path, notes).files()
        except FileNotFoundError:
            raise JobError(f"{path}: no such file or folder") from None
        except OSError as error:
            raise JobError(f"{error.filename or path}: {error.strerror or error}") from None
        if not inside:
            raise JobError(
                f"{path}: this folder has no files; hidden ones (.… and _…) are left out"
            )
        files += inside
    if STANDARD_INPUT in files and sys.stdin is None:  # its descriptor may belong to another file
        raise JobError("standard input is closed")
    if files.count(STANDARD_INPUT) > 1:
        raise JobError("standard input is given twice, and can be read only once")
    return files, notes


class _FolderWalk:
    """The files in a folder and its sub-folders, linked ones included; each folder is read once."""

    def __init__(self, path: Path, notes: list[str]) -> None:
        self._root = path
        self._notes = notes
        self._seen: dict[FolderKey, Path] = {}

    def files(self) -> list[Path]:
        """Return the files, sorted by name. Raises OSError.

        Real folders come before links to them, so that a file with two names gets its real one.
        """
        files: list[Path] = []
        folders = [self._root]
        self._seen[_key(self._root)] = self._root
        while folders:
            links: list[Path] = []
            for folder in folders:
                files += self._walk(folder, links)
            folders = [link for link in sorted(links) if self._is_new(link)]
        return sorted(files)

    def _walk(self, root: Path, links: list[Path]) -> Iterator[Path]:
        """Yield the files below `root`, and append links to folders to `links`."""
        folders = [root]
        while folders:
            folder = folders.pop()
            try:
                inside = sorted(folder.iterdir())
            except FileNotFoundError:
                self._leave_out(folder, "it no longer exists")
                continue
            for path in inside:
                if path.name.startswith(HIDDEN_PREFIXES):
                    continue
                try:
                    mode = path.stat().st_mode
                except OSError as error:
                    if error.errno not in BROKEN_LINK_ERRORS:
                        raise
                    self._leave_out(path, "the target of this link does not exist")
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
            self._leave_out(folder, "this link leads back to a folder that contains it")
            return False
        if (first := self._seen.setdefault(key, folder)) is not folder:
            self._leave_out(folder, f"it is the same folder as {printable(str(first))}")
            return False
        return True

    def _leave_out(self, path: Path, reason: str) -> None:
        self._notes.append(f"{printable(str(path))} is left out: {reason}")


def _key(path: Path) -> FolderKey:
    status = path.stat()
    return status.st_dev, status.st_ino
