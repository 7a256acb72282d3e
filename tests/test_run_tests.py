"""Tests of `make test`: which group runs which test, and what fails the whole."""

from pathlib import Path

import pytest

from tests.programs import run_tests
from tests.programs.run_tests import GROUPS, ROOT, main

PYTHON = """#!/bin/sh
echo "$@" | grep -q "coverage combine" && exit 0
echo "$@" | grep -q "coverage report" && { echo 97.5; exit $REPORT; }
echo "$@" | grep -q "coverage run" && touch "$COVERAGE_FILE"
echo "ran $@ [ 50%]"
echo "$@" | grep -q "pytest tests/playground" && exit $PLAYGROUND
exit 0
"""


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the prefix of environments whose Python only prints its arguments."""
    monkeypatch.setattr(run_tests, "FOLDER", tmp_path / "outputs")
    monkeypatch.setattr(run_tests, "POLL_SECONDS", 0.01)
    monkeypatch.setenv("PLAYGROUND", "0")
    monkeypatch.setenv("REPORT", "0")
    for suffix in ("-test", "-dev", "-clients"):
        python = tmp_path / f"venv{suffix}" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(PYTHON, encoding="utf-8")
        python.chmod(0o755)
        (tmp_path / f"venv{suffix}" / "ready").touch()
    return str(tmp_path / "venv")


def test_every_group_runs_once(venv: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--venv", venv]) == 0
    printed = capsys.readouterr().out
    for group in GROUPS:
        wanted = 0 if group.name == "ray" else 1
        assert printed.count(f"==== {group.name}: passed") == wanted
    assert "SKIPPED: tests/ray" in printed
    assert "coverage: 97.5 %" in printed


def test_a_failed_group_fails_the_whole(
    venv: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLAYGROUND", "3")
    assert main(["--venv", venv]) == 1
    printed = capsys.readouterr().out
    assert "==== playground: FAILED (exit code 3)" in printed
    assert "FAILED: playground" in printed
    assert "==== rest: passed" in printed


def test_coverage_below_the_floor_fails(venv: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPORT", "2")
    assert main(["--venv", venv]) == 1


def test_a_missing_environment_fails(venv: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(f"{venv}-clients", "ready").unlink()
    assert main(["--venv", venv, "clients"]) == 1
    assert "environment is missing" in capsys.readouterr().out


def test_the_groups_share_no_test() -> None:
    """Each folder of tests belongs to one group: its own, or `rest` without the ignored ones."""
    rest = next(group for group in GROUPS if group.name == "rest")
    ignored = {argument.removeprefix("--ignore=") for argument in rest.arguments[1:]}
    others = {
        argument
        for group in GROUPS
        if group != rest
        for argument in group.arguments
        if argument != "tests/service/http" and not argument.startswith("--")
    }
    assert others - {"tests/test_rooms.py"} == ignored
    assert all((ROOT / path).exists() for path in ignored)
