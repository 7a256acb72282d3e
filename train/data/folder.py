"""The text files of a folder: all of the trainer reads folders by this module.

docs/texts.md has the rules, which `service.bulk` follows, too.
"""

import errno
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from train.errors import CorpusError

SUFFIXES = (".txt", ".txt.gz")
HIDDEN = (".", "_")  # .ipynb_checkpoints, ._a.txt, the ..data of a mounted ConfigMap; _SUCCESS
BROKEN_LINK = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

Key = tuple[int, int]  # device and inode: the identity of a folder under any name
Warn = Callable[[str], None]


def is_text(name: str, suffixes: tuple[str, ...] = SUFFIXES) -> bool:
    """Return whether a file of this name is read. The case of its suffix does not matter."""
    return not name.startswith(HIDDEN) and name.lower().endswith(suffixes)


def text_files(
    folder: Path, warn: Warn, suffixes: tuple[str, ...] = SUFFIXES, *, is_deep: bool = True
) -> tuple[Path, ...]:
    """Return the text files in `folder` and, if `is_deep`, in its sub-folders, ordered by name.

    Links are followed. Each folder is read once, under its name without a link if it has one. Calls
    `warn` for each entry that is left out, except hidden ones. Raises CorpusError if a folder
    cannot be read.
    """
    try:
        return tuple(sorted(_Walk(folder, warn, suffixes, is_deep).files()))
    except OSError as error:
        raise CorpusError(f"cannot read {error.filename or folder}: {error.strerror}") from None


class _Walk:
    """One walk through a folder. It remembers the folders that it has read."""

    def __init__(self, folder: Path, warn: Warn, suffixes: tuple[str, ...], is_deep: bool) -> None:
        self._root = folder
        self._warn = warn
        self._suffixes = suffixes
        self._is_deep = is_deep
        self._seen: dict[Key, Path] = {}

    def files(self) -> Iterator[Path]:
        """Yield all text files. Raises OSError."""
        folders = [self._root]
        self._seen[_key(self._root)] = self._root
        while folders:
            links: list[Path] = []
            while folders:
                yield from self._entries(folders.pop(), folders, links)
            folders = [link for link in sorted(links) if self._is_new(link)]

    def _entries(self, folder: Path, folders: list[Path], links: list[Path]) -> Iterator[Path]:
        """Yield the files of one folder; append its sub-folders, and its links to folders."""
        for path in sorted(folder.iterdir()):
            if path.name.startswith(HIDDEN):
                continue
            try:
                mode = path.stat().st_mode
            except OSError as error:
                if error.errno not in BROKEN_LINK:
                    raise
                self._leave_out(path, "the target of this link does not exist")
                continue
            if stat.S_ISDIR(mode):
                if not self._is_deep:
                    continue
                if path.is_symlink():
                    links.append(path)
                elif self._is_new(path):
                    folders.append(path)
            elif not is_text(path.name, self._suffixes):
                continue
            elif stat.S_ISREG(mode):
                yield path
            else:
                self._leave_out(path, "it is a pipe, a socket or a device")

    def _is_new(self, folder: Path) -> bool:
        if folder.is_symlink() and _key(folder) in map(_key, folder.parent.resolve().parents):
            self._leave_out(folder, "this link leads back to a folder that contains it")
            return False
        first = self._seen.setdefault(_key(folder), folder)
        if first is not folder:
            self._leave_out(folder, f"it is the same folder as {first}")
        return first is folder

    def _leave_out(self, path: Path, reason: str) -> None:
        self._warn(f"warning: {path} is left out: {reason}")


def _key(path: Path) -> Key:
    found = path.stat()
    return found.st_dev, found.st_ino
