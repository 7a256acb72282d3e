"""Bundle files: only regular files of the expected size are read, in bounded time."""

import os
import stat
from pathlib import Path

from service.errors import BundleError
from service.limits import MAX_MANIFEST_BYTES

CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def is_folder(path: Path) -> bool:
    """Return whether `path` is a folder that this process may read."""
    try:
        return path.is_dir()
    except OSError:  # no permission
        return False


def read_manifest(path: Path) -> bytes:
    """Return the bytes of a manifest. Raises BundleError, as `read_file` does."""
    return _read(path, None, MAX_MANIFEST_BYTES)


def read_file(path: Path, size: int) -> bytes:
    """Return the bytes of a file that must have `size` of them.

    Raises BundleError for a file that is missing, cannot be read, is a directory, pipe, socket or
    device, has another size, or does not fit into this machine's memory.
    """
    return _read(path, size, usable_memory())


def usable_memory() -> int:
    """Return the memory limit of this process in bytes: the machine's or its control group's."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in CGROUP_LIMITS:
        try:
            memory = min(memory, int(path.read_text()))
        except (OSError, ValueError):  # no limit
            continue
    return memory


def _read(path: Path, expected_size: int | None, max_size: int) -> bytes:
    where = f"bundle {path.parent}: {path.name}"
    try:
        # O_NONBLOCK, because opening a pipe without a writer would block for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BundleError(f"{where} is not a regular file")
            size = status.st_size
            if expected_size is not None and size != expected_size:
                raise BundleError(
                    f"{where} has {size} bytes, but {expected_size} bytes in the manifest"
                )
            if size > max_size:
                raise BundleError(f"{where} is too large: {size} bytes (at most {max_size})")
            content = file.read(size + 1)
    except OSError as error:
        raise BundleError(f"{where}: {error.strerror}") from None
    if len(content) != size:
        raise BundleError(f"{where} changed while it was read; load it again")
    return content
