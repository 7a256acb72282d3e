"""Parsers of the values of settings."""

import json
import re
import secrets
from pathlib import Path
from typing import Any

from service.errors import StartError
from service.limits import MIN_STATE_KEY_BYTES

ROOT_PATH = re.compile(r"[A-Za-z0-9._~/-]*")


def split_commas(value: Any) -> Any:
    """Split `a, b` into the list [a, b]."""
    if isinstance(value, list):
        value = ",".join(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def split_commas_or_json(value: Any) -> Any:
    """Split `a,b` or the JSON list `["a", "b"]` into its entries."""
    if not isinstance(value, str):
        return value
    return json.loads(value) if value.startswith("[") else tuple(filter(None, value.split(",")))


def normalize_root_path(value: str) -> str:
    """Return `/lm` for `lm/`. Raises ValueError for a character that is not allowed."""
    path = "/".join(filter(None, value.split("/")))
    if not ROOT_PATH.fullmatch(path):
        raise ValueError(
            "root_path holds a character that is not allowed; use letters, digits and -._~ "
            "between slashes"
        )
    return f"/{path}" if path else ""


def read_state_key(path: Path | None) -> bytes:
    """Return the key of state handles from its file, or a random key without a file.

    Raises StartError for a file that cannot be read or is too short.
    """
    if path is None:
        return secrets.token_bytes(MIN_STATE_KEY_BYTES)
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise StartError(f"--state-key-file {path}: {error.strerror}") from None
    if len(key) < MIN_STATE_KEY_BYTES:
        raise StartError(
            f"--state-key-file {path}: the key is too short: {len(key)} bytes "
            f"(at least {MIN_STATE_KEY_BYTES})"
        )
    return key
