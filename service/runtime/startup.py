"""The start of a program: the packages that it needs, and streams that print any text.

It imports the standard library alone, because it runs before anything else is imported.
"""

import io
import os
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("fastapi", "numpy", "onnxruntime", "orjson", "pydantic", "tokenizers", "uvicorn")


def require_packages() -> None:
    """Exit with one line if packages are missing, for example if only the client is installed."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        sys.exit(
            f"error: packages are not installed: {', '.join(missing)}; "
            "in the clone of tiedlm: pip install '.[service]'"
        )


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
