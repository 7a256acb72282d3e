"""The packages of the extra `service`, checked before a program imports them."""

import sys
from importlib.util import find_spec

PACKAGES = ("fastapi", "numpy", "onnxruntime", "orjson", "pydantic", "tokenizers", "uvicorn")


def require_packages() -> None:
    """Exit with one line if packages are missing, for example if only the client is installed."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        sys.exit(
            f"error: packages are not installed: {', '.join(missing)}; "
            "in the clone of tiedlm: pip install '.[service]'"
        )
