"""Reading a configuration: a TOML preset, `--set key=value` on top, every key checked."""

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from train.config import Config
from train.errors import ConfigError


def load_config(path: Path, overrides: list[str]) -> Config:
    """Read a TOML file, or a checkpoint's `config.json`; then apply overrides such as
    `train.epochs=3` in order.

    An override's value is read as TOML (`0.3`, `true`, `"text"`); what is no TOML is a string.
    Raises ConfigError with the key, the reason and the file.
    """
    is_json = path.suffix == ".json"
    try:
        text = path.read_text(encoding="utf-8")
        document = dict(json.loads(text, object_hook=_given)) if is_json else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (ValueError, TypeError) as error:  # of both formats, and of UTF-8
        raise ConfigError(f"{path} is not {'JSON' if is_json else 'TOML'}: {error}") from None
    for override in overrides:
        _set(document, override)
    return parse_config(document, str(path))


def parse_config(document: dict[str, Any], where: str) -> Config:
    """Check a nested mapping. Raises ConfigError naming every wrong key."""
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        problems = (
            (f"{'.'.join(map(str, e['loc']))}: " if e["loc"] else "")
            + (
                "unknown key"
                if e["type"] == "extra_forbidden"
                else e["msg"].removeprefix("Value error, ")
            )
            for e in error.errors()
        )
        raise ConfigError(f"{where}: " + "; ".join(problems)) from None


def _given(section: dict[str, Any]) -> dict[str, Any]:
    """JSON's null is TOML's absent key."""
    return {key: value for key, value in section.items() if value is not None}


def _set(document: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *parents, leaf = key.strip().split(".")
    if not equals or not leaf:
        raise ConfigError(
            f"--set takes key=value, such as train.epochs=3; it was given {override!r}"
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    table = document
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override}: {parent} is a value, not a table")
    table[leaf] = value
