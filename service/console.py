"""Standard output and standard error of programs, on terminals of any encoding."""

import io
import sys


def print_any_text() -> None:
    """Let both streams take every character. One that the terminal's encoding lacks, as Latin-1 and
    ASCII lack most, is printed as its escape, because an error would end the program.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
