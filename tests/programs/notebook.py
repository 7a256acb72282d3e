"""`python -m tests.programs.notebook`: run docs/surprisal.ipynb and keep what it shows."""

import argparse
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "surprisal.ipynb"
SECONDS = 300
FORMAT: Any = nbformat  # its functions have no types


def executed(*more: str) -> Any:
    """The notebook with the outputs of its cells, and of `more` cells of code after them.

    Raises nbclient's CellExecutionError where one fails.
    """
    notebook = FORMAT.reads(NOTEBOOK.read_text(encoding="utf-8"), as_version=4)
    notebook.cells += [FORMAT.v4.new_code_cell(code) for code in more]
    # The kernel of this environment; its folder is the repository's, where the packages are.
    resources = {"metadata": {"path": str(ROOT)}}
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=resources).execute()
    return notebook


def main() -> None:
    argparse.ArgumentParser("python -m tests.programs.notebook", description=__doc__).parse_args()
    notebook = executed()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran is of no use to a reader
    notebook.metadata.pop("language_info", None)
    NOTEBOOK.write_text(FORMAT.writes(notebook) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
