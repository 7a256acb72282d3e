"""Documents of the lm-eval task: the stripped, non-empty lines of a text."""

from pathlib import Path
from typing import Any


def lines(path: Path) -> list[str]:
    stripped = (line.strip() for line in path.read_text(encoding="utf-8").split("\n"))
    return [line for line in stripped if line]


def dataset(file: str, **_: object) -> dict[str, Any]:
    """Return the data set of the task. lm-eval calls it with the `file` of its `--metadata`."""
    from datasets import Dataset

    return {"test": Dataset.from_dict({"line": lines(Path(file))})}
