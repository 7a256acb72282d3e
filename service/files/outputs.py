"""Files that programs write: never one that they read, never one that is there unless the caller
asked for that, whole or not at all, and never through a symbolic link.

Two names are the same file when device and inode are equal, so that hard links and symbolic links
are seen through. A file that does not exist yet is known by its resolved path.
"""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from service.errors import OutputError

STANDARD_INPUT, STANDARD_OUTPUT = Path("/dev/stdin"), Path("/dev/stdout")
DESCRIPTOR = re.compile(r"/dev/(?:stdin|stdout|stderr|fd/(\d+))|/proc/self/fd/(\d+)")
NUMBERS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}

Key = str | tuple[int, int]


class Output(NamedTuple):
    """A path that a program writes or removes, and how a message calls it."""

    path: Path
    name: str


def input_path(value: str) -> Path:
    """Return the path of an input: `-` is standard input, `./-` a file of that name."""
    return STANDARD_INPUT if value == "-" else Path(value)


def output_path(value: str) -> Path:
    """Return the path of an output: `-` is standard output, `./-` a file of that name.

    Raises OutputError for a path that names no file, such as `..`.
    """
    if value == "-":
        return STANDARD_OUTPUT
    path = Path(value)
    if path.name in ("", ".."):
        raise OutputError(f"{value or 'an empty path'} names no file; give a file's name")
    return path


def refuse_inputs(outputs: Iterable[Output], inputs: Iterable[Path]) -> None:
    """Raise OutputError for an output that is an input, a folder that holds one, or another output.

    Nothing is opened, so that a program may call this before it touches anything.
    """
    outputs = list(outputs)
    known: dict[Key, Output] = {}
    for output in outputs:
        for key in _keys(output.path):
            other = known.setdefault(key, output)
            if other is not output:
                raise OutputError(
                    f"{output.name} and {other.name} are the same file; give each its own"
                )
    for output in outputs:
        for folder in _parents(output.path):
            other = next((known[key] for key in _keys(folder) if key in known), output)
            if other is not output:
                raise OutputError(f"{output.name} is inside {other.name}; give another path")
    folders: dict[Path, Output | None] = {}
    for path in inputs:
        for key in _keys(path):
            if key in known:
                raise OutputError(
                    f"{known[key].name} is the input {path}; give an output that is no input"
                )
        for folder in _parents(path):
            if folder not in folders:
                folders[folder] = next((known[k] for k in _keys(folder) if k in known), None)
            if (holder := folders[folder]) is not None:
                raise OutputError(f"{holder.name} is a folder that holds the input {path}")


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise OutputError for a file that is there, unless it may be overwritten, and for a folder.

    A stream may always be there.
    """
    if is_stream(path) or not os.path.lexists(path):
        return
    if not overwrite:
        raise OutputError(f"{path} already exists; use --overwrite to replace it")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a file")


def _keys(path: Path) -> Iterator[Key]:
    """Yield what is equal for two names of one file. Devices and sockets cannot be spoilt."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        yield os.path.realpath(path)
        return
    if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode) or stat.S_ISFIFO(found.st_mode):
        yield os.path.realpath(path)
        yield found.st_dev, found.st_ino


def _parents(path: Path) -> Iterable[Path]:
    return Path(os.path.realpath(path)).parents


def is_stream(path: Path) -> bool:
    """Return whether this is a descriptor (`/dev/stdout`), a pipe, a socket or a device.

    `Path("-")` is a file, because `input_path` and `output_path` replace the argument `-`.
    """
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def is_standard_output(path: Path) -> bool:
    return _descriptor(path) == 1


def open_stream(path: Path) -> IO[bytes]:
    """Open a stream for writing. A descriptor is shared, so that what was written before it stays
    where standard output is a file.
    """
    descriptor = _descriptor(path)
    opened = os.open(path, os.O_WRONLY) if descriptor is None else os.dup(descriptor)
    return os.fdopen(opened, "wb")


def _descriptor(path: Path) -> int | None:
    found = DESCRIPTOR.fullmatch(str(path))
    if found is None:
        return None
    number = found[1] or found[2]
    return NUMBERS[str(path)] if number is None else int(number)


def open_beside(path: Path, mode: str, flags: int = 0) -> IO[bytes]:
    """Open a file that a program keeps next to its output. Raises OutputError for a symbolic link
    and for whatever is not a regular file.
    """

    def opener(name: str, asked: int) -> int:
        # O_NONBLOCK: a FIFO without a reader fails at once.
        return os.open(name, asked | flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)

    try:
        file: IO[bytes] = open(path, mode, opener=opener)  # noqa: SIM115
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise OutputError(f"{path} is a symbolic link; remove it") from None
        if error.errno == errno.ENXIO:
            raise OutputError(f"{path} is not a regular file; remove it") from None
        raise
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OutputError(f"{path} is not a regular file; remove it")
    return file


def write_whole(path: Path, content: bytes, partial: Path | None = None) -> None:
    """Replace `path` durably in one step; a link is replaced, not followed. A stream is written to.

    `partial` is the file that is renamed, by default one of an unused name. A file that an earlier
    attempt left there is overwritten.

    Raises OSError, and OutputError where `partial` is a link or not a regular file. What was at
    `path` stays as it was.
    """
    if is_stream(path):
        with open_stream(path) as stream:
            stream.write(content)
        return
    if partial is None:
        partial = path.with_name(f".{path.name}.new-{secrets.token_hex(4)}")
        file = open_beside(partial, "xb")
    else:
        file = open_beside(partial, "wb")
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a new name in `folder` durable. Some file systems cannot sync a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
