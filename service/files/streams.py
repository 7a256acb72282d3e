"""Streams: descriptors, pipes, sockets and devices, which are read or written only once."""

import os
import re
import stat
from pathlib import Path
from typing import IO

STANDARD_INPUT, STANDARD_OUTPUT = Path("/dev/stdin"), Path("/dev/stdout")
DESCRIPTOR = re.compile(r"/dev/(?:stdin|stdout|stderr|fd/(\d+))|/proc/self/fd/(\d+)")
NUMBERS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


def is_stream(path: Path) -> bool:
    """Return whether `path` is a descriptor (`/dev/stdout`), a pipe, a socket or a device.

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
    """Open a stream for writing.

    A descriptor is duplicated and not opened again, because standard output may be a file whose
    earlier content must stay.
    """
    descriptor = _descriptor(path)
    opened = os.open(path, os.O_WRONLY) if descriptor is None else os.dup(descriptor)
    return os.fdopen(opened, "wb")


def _descriptor(path: Path) -> int | None:
    match = DESCRIPTOR.fullmatch(str(path))
    if match is None:
        return None
    number = match[1] or match[2]
    return NUMBERS[str(path)] if number is None else int(number)
