"""`python -m tests.programs.notebook`: run docs/surprisal.ipynb and save its outputs."""

import argparse
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "surprisal.ipynb"
SECONDS = 300
FORMAT: Any = nbformat  # its functions are not typed


def executed(*more: str) -> Any:
    """Return the notebook with the outputs of its cells, and of `more` code cells after them.

    Raise nbclient's CellExecutionError if a cell fails.
    """
    notebook = FORMAT.reads(NOTEBOOK.read_text(encoding="utf-8"), as_version=4)
    notebook.cells += [FORMAT.v4.new_code_cell(code) for code in more]
    # The kernel of this environment, in the folder of the clone.
    resources = {"metadata": {"path": str(ROOT)}}
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=resources).execute()
    return notebook


def main() -> None:
    argparse.ArgumentParser("python -m tests.programs.notebook", description=__doc__).parse_args()
    notebook = executed()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # readers do not need the time of the run
    notebook.metadata.pop("language_info", None)
    NOTEBOOK.write_text(FORMAT.writes(notebook) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
