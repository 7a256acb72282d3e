"""Pages of `python -m train report`, made in this process and parsed."""

import json
import re
from pathlib import Path
from typing import Any

from train.__main__ import main
from train.report.metrics import read_metrics

Row = dict[str, str]


def report(folders: list[Path], *flags: str) -> str:
    page = folders[0].parent / "page.md"
    assert main(["report", *map(str, folders), "--out", str(page), *flags]) == 0
    return page.read_text(encoding="utf-8")


def tables(page: str) -> list[list[Row]]:
    """Return every table of the page; a row maps column heads to cells."""
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", page, flags=re.M):
        split = (re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines())
        head, _, *rows = [[cell.strip() for cell in cells] for cells in split]
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def texts(page: str) -> list[tuple[str, list[str]]]:
    """Return the heads and cells of the tables of samples."""
    found = [(list(table[0])[1], table) for table in tables(page)]
    return [(head, [row[head] for row in rows]) for head, rows in found if head[0] == "“"]


def column(page: str, head: str) -> list[str]:
    (found,) = (table for table in tables(page) if head in table[0])
    return [row[head] for row in found]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def unfinished(run: Path, epochs: int = 1) -> list[dict[str, Any]]:
    """Reset a run to its state after `epochs` epochs; return the lines of its metrics."""
    (run / "report.json").unlink()
    kept = [line for line in read_metrics(run / "metrics.jsonl") if line["epoch"] <= epochs]
    text = "".join(json.dumps(line) + "\n" for line in kept)
    (run / "metrics.jsonl").write_text(text, encoding="utf-8")
    return kept
