"""Tests of the size of files and functions, so that each stays one noun and one task."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("service", "train", "model_export")
MAX_TOP_LEVEL_FILES = 10
MIN_LINES = 25
MAX_FUNCTION_LINES = 50
# Short files, and the reason why each is a file.
SHORT = {
    "tests/clients/task/documents.py": "lm-eval loads it by its path",
    "tests/clients/test_schemathesis.py": "its program is tests/programs/fuzz",
    "tests/programs/smoke/checks.py": "all modules of the program import it",
    "tests/support/docker_files.py": "all tests of docker/ import it",
    "tests/support/admission.py": "tests of two rooms import it",
    "tests/support/torchrun_ranks.py": "torchrun starts it",
}


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_the_top_level_of_the_service_is_small() -> None:
    files = [path for path in (ROOT / "service").glob("*.py") if path.name != "__init__.py"]
    assert len(files) <= MAX_TOP_LEVEL_FILES, sorted(path.name for path in files)


def test_no_file_is_too_small() -> None:
    """A file of a few lines belongs into the one that uses it; fixtures have a fixed place."""
    names = ("__init__.py", "conftest.py")
    found = {
        str(path.relative_to(ROOT)): lines
        for path in sources(*ROOMS, "tests")
        if path.name not in names
        and (lines := len(path.read_text(encoding="utf-8").splitlines())) < MIN_LINES
    }
    assert {path: lines for path, lines in found.items() if path not in SHORT} == {}


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    docstring = node.body[0] if ast.get_docstring(node) else None
    described = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
    return (node.end_lineno or 0) - node.lineno + 1 - described


def test_no_function_is_too_long() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{node.name}": code_lines(node)
        for path in sources(*ROOMS)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in found.items() if lines > MAX_FUNCTION_LINES} == {}
