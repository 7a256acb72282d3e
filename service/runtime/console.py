"""Standard output and standard error of programs, for terminals of any encoding."""

import io
import os
import sys
from pathlib import Path


def print_any_text() -> None:
    """Make both streams print every character. A character that the terminal's encoding lacks is
    printed as an escape, because an error would end the program.

    If standard error is closed (`2>&-`), it becomes /dev/null. Otherwise `print(file=None)` would
    write warnings to standard output, and the next file to be opened would have the number 2.
    """
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
