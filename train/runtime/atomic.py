"""Atomic, durable writes: readers find a whole file or folder, or none, also after a power cut."""

import os
from contextlib import suppress
from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, and sync the file and its folder.

    Raises OSError and leaves the old file as it was.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.unlink(missing_ok=True)  # left by a kill; a link here is removed, not followed
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def move_folder(folder: Path, target: Path) -> None:
    """Rename a folder whose files are already synced, and make the new name durable.

    Raises OSError if `target` exists and is not an empty folder.
    """
    sync_folder(folder)
    folder.rename(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, except where the system cannot sync a folder (Windows and
    some file systems).
    """
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
