"""Tests of `examples/`: each script runs against a real service and prints what is expected."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import STARTER_BUNDLE
from tests.support.server_process import running

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
MAX_LINES = 30
OUTPUTS = {
    "score.py": [
        "He           7.86 bits",
        "was          2.39 bits",
        "born         5.12 bits",
        "in           0.95 bits",
        "London       6.61 bits",
        ".            4.79 bits",
        "(end)        3.45 bits",
        "perplexity 21.9",
    ],
    "rescore.py": [
        "1. the river  total  -11.13",
        "2. a river    total  -15.57",
        "3. the liver  total  -16.60",
    ],
    "keyboard.py": [
        "The        → first, main, film",
        "capital    → of, was, is",
        "of         → the, Ireland, Galveston",
    ],
    "filter_corpus.py": [
        "    21.7  He was born in London in 1901.",
        "   122.8  The river was in flood.",
    ],
    "log_anomalies.py": [
        "1: The station was opened in 1901.",
        "2: The station was river in 1901. ← unexpected: river",
    ],
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(STARTER_BUNDLE) as (_, port):
        yield f"http://127.0.0.1:{port}"


def output(script: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return [line.rstrip() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("script", OUTPUTS)
def test_an_example_prints_its_result(url: str, script: str) -> None:
    assert output(script, url) == OUTPUTS[script]


def test_files_replace_the_built_in_lines(url: str, tmp_path: Path) -> None:
    text = tmp_path / "lines.txt"
    text.write_text("The river was in flood.\nHe was born in London in 1901.\n", encoding="utf-8")
    (kept,) = output("filter_corpus.py", url, str(text), "50")
    assert kept.endswith("He was born in London in 1901.")
    assert len(output("log_anomalies.py", url, str(text), "2000")) == 2


def test_every_example_is_tested_and_short() -> None:
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert {script.name for script in scripts} == set(OUTPUTS)
    for script in scripts:
        lines = script.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= MAX_LINES, script.name
