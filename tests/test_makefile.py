"""Tests that `make` passes every path unchanged to the programs, with any characters."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tiny_training import ROOT

Make = Callable[..., list[str]]
ODD = 'my text, 1st $HOME\'s "copy"; `x` (é)'
PROGRAM = f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n"


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environments = [f"{name}={folder}" for name in ("DEV", "CLIENTS", "TEST", "SERVICE")]
    return subprocess.run(
        ["make", "-s", "--no-print-directory", "-C", str(ROOT), *environments, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={
            k: v for k, v in os.environ.items() if k not in ("OUT", "DATA", "CONFIG", "MAKEFLAGS")
        },
        timeout=60,
    )


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Create a virtual environment whose Python prints its arguments."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "bin" / "python").chmod(0o755)
    (tmp_path / "ready").touch()
    return tmp_path


@pytest.fixture
def make(environment: Path) -> Make:
    def arguments(*given: str) -> list[str]:
        done = run(environment, *given)
        assert done.returncode == 0, done.stderr
        found: list[str] = json.loads(done.stdout)
        return found

    return arguments


def test_paths_reach_every_program_as_given(make: Make) -> None:
    data, checkpoint, bundle = (f"{ODD} {name}" for name in ("data", "run", "bundle"))
    of_data = ["--data", data]
    assert make("train", f"DATA={data}", "CONFIG=a b.c/my conf.toml", f"OUT={ODD}") == [
        *("-m", "train", "a b.c/my conf.toml", *of_data, "--out", ODD),
    ]
    assert make("export", f"CHECKPOINT={checkpoint}", f"BUNDLE={bundle}", "ARGS=--replace") == [
        *("-m", "model_export", checkpoint, bundle, "--replace"),
    ]
    for target, module in (
        ("proof", "tests.programs.proofs"),
        ("cache-gain", "tests.programs.proofs.cache"),
    ):
        found = make(target, f"CHECKPOINT={checkpoint}", f"DATA={data}")
        assert found == ["-m", module, checkpoint, *of_data]
    found = make("ngram", f"BUNDLE={bundle}", f"DATA={data}")
    assert found == ["-m", "tests.programs.benchmarks.ngram", bundle, *of_data]
    for target in ("ablation", "processes", "presets"):
        assert make(target, f"DATA={data}") == ["-m", f"tests.programs.proofs.{target}", *of_data]
    assert make("lm-eval", f"DATA={data}") == ["-m", "tests.clients.lm_eval_compare", data]
    assert make("bench", f"DATA={data}")[:4] == ["-m", "tests.programs.benchmarks", *of_data]


def test_a_run_is_named_after_its_configuration(make: Make) -> None:
    found = make("train", "DATA=text", "CONFIG=my.configs/big one.v2.toml")
    assert found[-2:] == ["--out", "runs/big one.v2"]
    assert make("train", "DATA=text")[2:] == [
        *("train/configs/starter.toml", "--data", "text", "--out", "runs/starter"),
    ]


def test_list_of_paths_follows_shell_rules(make: Make, tmp_path: Path) -> None:
    one = tmp_path / "one run"
    one.mkdir()
    for given, expected in (
        ("runs/a runs/b", ["runs/a", "runs/b"]),
        ("'runs/a b' runs/c\\ d", ["runs/a b", "runs/c d"]),
        (str(one), [str(one)]),
    ):
        found = make("report", f"CHECKPOINTS={given}", "OUT=my page.md")
        assert found == ["-m", "train", "report", *expected, "--out", "my page.md"]
        assert make("bench-bulk", f"FILES={given}") == [
            "-m",
            "tests.programs.benchmarks.bulk",
            *expected,
        ]
    assert make("report", "CHECKPOINTS=runs/a")[-1] == "runs/report.md"


@pytest.mark.parametrize(
    ("target", "missing"),
    [
        ("train", "DATA"),
        ("report", "CHECKPOINTS"),
        ("export", "CHECKPOINT"),
        ("proof", "CHECKPOINT"),
        ("cache-gain", "CHECKPOINT"),
        ("ngram", "BUNDLE"),
        ("ablation", "DATA"),
        ("processes", "DATA"),
        ("presets", "DATA"),
        ("lm-eval", "DATA"),
        ("bench-bulk", "FILES"),
    ],
)
def test_a_missing_path_is_named(environment: Path, target: str, missing: str) -> None:
    done = run(environment, target)
    assert done.returncode == 2
    assert done.stdout.startswith(f"give {missing}=")
