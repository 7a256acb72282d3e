"""The packages of the extra `train`, checked before a program imports them."""

import sys
from importlib.util import find_spec

PACKAGES = ("matplotlib", "numpy", "pydantic", "tokenizers", "torch", "tqdm")


def require_packages(*more: str) -> None:
    """Exit with one line if one of PACKAGES or of `more` is missing, as in the service's image."""
    if missing := [name for name in sorted((*PACKAGES, *more)) if find_spec(name) is None]:
        sys.exit(
            f"error: packages are not installed: {', '.join(missing)}; "
            "in the clone of tiedlm: pip install '.[train]'"
        )
