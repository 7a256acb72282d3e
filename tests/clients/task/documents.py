"""The documents of the task beside it: a text's non-empty lines, without the space around them."""

from pathlib import Path
from typing import Any


def lines(path: Path) -> list[str]:
    stripped = (line.strip() for line in path.read_text(encoding="utf-8").split("\n"))
    return [line for line in stripped if line]


def dataset(file: str, **_: object) -> dict[str, Any]:
    """What lm-eval calls; `file` comes from its `--metadata`."""
    from datasets import Dataset

    return {"test": Dataset.from_dict({"line": lines(Path(file))})}
