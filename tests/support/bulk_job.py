"""A runner of `service.bulk` jobs for tests."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from service.bulk import __main__ as command
from service.bulk.command_line import parse
from service.bulk.options import ScoringOptions
from service.language_model import LanguageModel


class Jobs:
    """The command in this process, with a model that is already loaded."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self.errors = ""

    def __call__(self, *arguments: str | Path) -> int:
        self.output, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(self.output), redirect_stderr(errors):
            code = command.main([str(argument) for argument in arguments])
        self.errors = errors.getvalue()
        return code

    def summary(self, *arguments: str | Path) -> dict[str, Any]:
        """Run a job that must succeed and return its summary."""
        assert self(*arguments, "--json") == 0, self.errors
        return dict(json.loads(self.output.getvalue()))


def parse_scoring(arguments: list[str]) -> ScoringOptions:
    """Return the options of a command line that is not `calibrate`."""
    options = parse(arguments)
    assert isinstance(options, ScoringOptions)
    return options


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]
