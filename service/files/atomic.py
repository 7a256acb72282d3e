"""Atomic, durable writes: a reader sees the old file or the new one, also after a power failure.

The new content is written to a partial file in the same folder and synced. Then the partial file
is renamed, and the folder is synced, because a rename is durable only once its folder is.
"""

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from service.errors import OutputError
from service.files.streams import is_stream, open_stream


def write_atomically(path: Path, content: bytes, partial: Path | None = None) -> None:
    """Replace the file `path` by `content`. A stream is written to instead.

    `partial` is the file that is renamed; by default it has a name that is not in use. A file that
    an earlier attempt left there is overwritten. If `path` is a symbolic link, the link is replaced
    and not followed.

    Raises OSError, and OutputError if `partial` is a link or not a regular file. The old content
    of `path` stays in both cases.
    """
    if is_stream(path):
        with open_stream(path) as stream:
            stream.write(content)
        return
    mode = "wb"
    if partial is None:
        partial, mode = path.with_name(f".{path.name}.new-{secrets.token_hex(4)}"), "xb"
    file = open_regular(partial, mode)
    try:
        with file:
            file.write(content)
            sync_file(file)
        replace_durably(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def replace_durably(partial: Path, path: Path) -> None:
    """Rename `partial`, a file or a folder whose files are synced, to `path`. Raises OSError."""
    if partial.is_dir():
        sync_folder(partial)
    partial.replace(path)
    sync_folder(path.parent)


def sync_file(file: IO[bytes]) -> None:
    """Write the buffered content of `file` to the disk. Raises OSError."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Write the names in `folder` to the disk. File systems that cannot do this are ignored."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def open_regular(path: Path, mode: str, flags: int = 0) -> IO[bytes]:
    """Open a file that a program keeps next to its output.

    Raises OutputError for a symbolic link and for anything that is not a regular file.
    """

    def opener(name: str, mode_flags: int) -> int:
        # O_NONBLOCK makes a FIFO without a reader fail at once.
        return os.open(name, mode_flags | flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)

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
