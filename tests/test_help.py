"""Tests of `--help` of every program, on terminals of any encoding."""

import ast
import importlib
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("service", "train", "model_export", "tests")
OTHERS = {"service", "service.bulk", "service.healthcheck"}  # their parsers are in other modules


def programs() -> Iterator[str]:
    """Yield every module that is run by its name and parses a command line."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            is_program = "parse_args(" in source and 'if __name__ == "__main__"' in source
            if is_program and not path.name.startswith("test_"):
                parts = path.relative_to(ROOT).with_suffix("").parts
                yield ".".join(part for part in parts if part != "__main__")


PROGRAMS = sorted({*programs(), *OTHERS})
COMMANDS = [*PROGRAMS, "train report", "service.bulk calibrate"]


def test_all_programs_are_found() -> None:
    assert {"service.bulk", "service.plot", "train", "model_export"} <= set(PROGRAMS)
    assert {
        "tests.programs.benchmarks",
        "tests.programs.benchmarks.load",
        "tests.programs.proofs.cache",
    } <= set(PROGRAMS)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_printed_in_every_encoding(
    command: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *more = command.split()
    printed = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", printed)
    monkeypatch.setattr(sys, "argv", [program, *more, "--help"])
    main = importlib.import_module(module_of(program)).main
    try:
        code = main()
    except SystemExit as ending:
        code = ending.code
    assert not code
    printed.seek(0)
    text = printed.read()
    assert text.startswith("usage: ")
    assert "\\u" not in text  # nor escape sequences


def module_of(program: str) -> str:
    return f"{program}.__main__" if (ROOT / program.replace(".", "/")).is_dir() else program


def test_help_reaches_a_latin_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    for program in ("service.bulk", "service.healthcheck"):
        command = [sys.executable, "-m", program, "--help"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        assert done.stdout.startswith(b"usage: python -m " + program.encode())
        assert done.stderr == b""


def test_descriptions_are_ascii() -> None:
    for program in PROGRAMS:
        path = ROOT / Path(*module_of(program).split(".")).with_suffix(".py")
        source = path.read_text(encoding="utf-8")
        if "description=__doc__" in source or "generator_parser(__doc__)" in source:
            assert (ast.get_docstring(ast.parse(source)) or "").isascii(), program
