"""A runner of `python -m train` in this process."""

from pathlib import Path

import pytest

from tests.support.tiny_training import contents
from train.__main__ import main

Capture = pytest.CaptureFixture[str]


class Train:
    """The command with its configuration, data and output."""

    def __init__(self, config: Path, data: Path, out: Path) -> None:
        self.config, self.data, self.out = config, data, out

    def arguments(self, *more: str) -> list[str]:
        return [str(self.config), "--data", str(self.data), "--out", str(self.out), *more]

    def __call__(self, *more: str) -> int:
        return main(self.arguments(*more))


def last_line(stderr: str) -> str:
    return stderr.replace("\r", "\n").rstrip("\n").rpartition("\n")[2]


def fails(train: Train, capsys: Capture, *more: str) -> str:
    """Run a command that must fail with exit code 1, and return its `error:` line."""
    assert train(*more) == 1
    stderr = capsys.readouterr().err
    assert stderr.endswith("\n")
    assert "Traceback" not in stderr
    assert stderr.count("error: ") == 1
    line = last_line(stderr)
    assert line.startswith("error: ")
    return line


def partial_files(folder: Path) -> list[str]:
    return [name for name in contents(folder) if "partial" in name or "/." in f"/{name}"]
