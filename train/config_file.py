"""Configuration files: a TOML preset, then `--set key=value` overrides, every key checked."""

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from train.config import Config
from train.errors import ConfigError, describe_errors


def load_config(path: Path, overrides: list[str]) -> Config:
    """Read a TOML file or a checkpoint's `config.json`, and apply overrides such as
    `train.epochs=3` in order.

    The value of an override is parsed as TOML (`0.3`, `true`, `"text"`). A value that is not TOML
    is a string. Raises ConfigError with the key, the reason and the file.
    """
    is_json = path.suffix == ".json"
    try:
        text = path.read_text(encoding="utf-8")
        if is_json:
            document = dict(json.loads(text, object_hook=_without_null))
        else:
            document = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (ValueError, TypeError) as error:  # of both formats, and of UTF-8
        raise ConfigError(f"{path} is not {'JSON' if is_json else 'TOML'}: {error}") from None
    for override in overrides:
        _apply(document, override)
    return parse_config(document, str(path))


def parse_config(document: dict[str, Any], source: str) -> Config:
    """Check the nested mapping that the file `source` holds.

    Raises ConfigError that names every wrong key.
    """
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{source}: {describe_errors(error)}") from None


def _without_null(section: dict[str, Any]) -> dict[str, Any]:
    """Drop the keys whose value is null: TOML has no null and omits them."""
    return {key: value for key, value in section.items() if value is not None}


def _apply(document: dict[str, Any], override: str) -> None:
    """Set one key of the document, and create the tables around it. Raises ConfigError."""
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
