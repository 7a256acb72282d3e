"""Checks that the packages of the extra `train` are installed.

The service runs without them. Programs call `require_packages` before they import torch, so that a
missing package is one line and not a traceback. This module imports the standard library alone.
"""

import sys
from importlib.util import find_spec

PACKAGES = (
    "matplotlib",
    "numpy",
    "pydantic",
    "tokenizers",
    "torch",
    "tqdm",
)


def require_packages(*more: str) -> None:
    """Exit with one line that names the packages of PACKAGES and `more` that are not installed."""
    missing = [name for name in sorted((*PACKAGES, *more)) if find_spec(name) is None]
    if missing:
        sys.exit(
            f"error: packages are not installed: {', '.join(missing)}; "
            "in the clone of tiedlm: pip install '.[train]'"
        )
