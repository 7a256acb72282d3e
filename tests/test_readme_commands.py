"""Tests that each command of the README works as printed, in a copy of the clone.

The environment is bare; `python` is that of an activated environment, as after the README's first
line. A command that needs an index, a container engine or minutes is checked with `make -n`, or by
the extras that it names.
"""

import gzip
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_packages import HINTS
from tests.test_readme import README, ROOT, TRAINING

BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
LINES = [
    line.strip() for block in BLOCKS for line in block.replace("\\\n", " ").strip().splitlines()
]
# The kinds of commands; each has its own check.
PROGRAMS = [line for line in LINES if line.startswith("python -m ")]
MAKE = [line for line in LINES if line.startswith("make ")]
INSTALLS = [line for line in LINES if line.startswith("pip install ")]
CURL = [line for line in LINES if line.startswith(("curl ", "-d "))]  # tests/test_readme.py
ELSEWHERE = [
    line
    for line in LINES
    if line.startswith("docker build ")  # make container
    or "--index-url " in line  # the address is not in the clone
]
PARTS = ["service", "model_export", "train", "Makefile", "README.md", "pyproject.toml"]
PARTS += ["requirements.lock", "constraints.txt", "LICENSE", "NOTICE"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the clone with the files that the README's commands name."""
    folder = tmp_path_factory.mktemp("clone")
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    texts = [f"The {n} cats sat on {n + 1} mats." for n in range(20)]
    (folder / "corpus.txt").write_text("\n".join(texts) + "\n")
    (folder / "reference.txt").write_text("\n".join(texts) + "\n")
    (folder / "my-text.txt").write_text(" ".join(texts) + "\n")
    documents = "".join(f'{{"text": "{text}"}}\n' for text in texts)
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(documents.encode()))
    return folder


def environment(home: Path) -> dict[str, str]:
    """Return the variables of a new shell with this test's environment activated."""
    activated = home / "activated"
    activated.mkdir(exist_ok=True)
    script = activated / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')  # a link would lose the venv
    script.chmod(0o755)
    return {"PATH": f"{activated}:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}


def run(clone: Path, home: Path, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", line],
        cwd=clone,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_command_has_a_check() -> None:
    assert set(LINES) == {*PROGRAMS, *MAKE, *INSTALLS, *CURL, *ELSEWHERE}
    assert min(len(PROGRAMS), len(MAKE)) > 4
    assert len(INSTALLS) == 1
    assert "python" in README.partition("## Use it")[0]


def test_programs_work_in_order(clone: Path, tmp_path: Path) -> None:
    for line in PROGRAMS:
        done = run(clone, tmp_path, line)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        words = shlex.split(line)
        out = clone / words[words.index("--out") + 1]
        assert out.stat().st_size > 100, line


@pytest.mark.parametrize("line", MAKE)
def test_make_lines_name_what_they_need(clone: Path, tmp_path: Path, line: str) -> None:
    """Check by a dry run which environment is set up and which program gets the arguments."""
    done = run(clone, tmp_path, re.sub(r"^make ", "make -n ", line.partition(" && ")[0]))
    assert done.returncode == 0, done.stderr
    target = shlex.split(line)[1]
    venv = ".venv-dev" if target in ("train", "export", "report", "test") else ".venv"
    assert f'"python3" -m venv {venv}\n' in done.stdout
    program = {"serve": "service", "export": "model_export", "report": "train report"}
    if target not in ("venv", "test"):
        called = f"{venv}/bin/python -m {program.get(target, target)} "
        assert called.strip() in done.stdout
    for word in shlex.split(line, comments=True)[2:]:
        if "=" in word:
            name, _, value = word.partition(
                "="
            )  # the shell expands paths, so that they may hold spaces
            used = (value, f"${name}", f"${{{name}")
            assert any(form in done.stdout.replace('"', "") for form in used)


def test_the_first_line_activates_what_it_sets_up(clone: Path, tmp_path: Path) -> None:
    """With a ready environment, `python` is that of `make venv` afterwards."""
    first = LINES[0].partition("#")[0].strip()
    assert first == "make venv && . .venv/bin/activate"
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(clone / ".venv")], check=True
    )
    ready = clone / ".venv" / "ready"
    ready.touch()
    os.utime(ready, (2**32, 2**32))
    done = run(clone, tmp_path, f"{first} && python -c 'import sys; print(sys.prefix)'")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(clone / ".venv")
    shutil.rmtree(clone / ".venv")


def test_the_training_lines_follow_each_other() -> None:
    """Check that each output is the next input; tests/test_readme.py runs the commands."""
    assert TRAINING is not None
    train, export, serve = map(shlex.split, TRAINING[1].strip().splitlines())
    assert f"CHECKPOINT={train[-1].removeprefix('OUT=')}" in export
    assert serve[-1].endswith(export[-1].removeprefix("BUNDLE="))


def test_the_named_extras_exist() -> None:
    assert {name for _, name in HINTS.findall(README)} >= {"client", "bulk", "plot", "notebook"}


def test_the_named_files_exist() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    files = listed.stdout.split() or [str(p.relative_to(ROOT)) for p in ROOT.rglob("*.*")]
    for name in ("CONTRIBUTING.md", "README.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        named = set(re.findall(r"`([\w./-]+\.(?:py|md|toml|yaml|sh|lock|ipynb))`", text))
        named |= set(re.findall(r"\]\(([\w./-]+)\)", text))
        assert len(named) > 5
        for word in named:
            known = (
                any(f == word or f.endswith(f"/{word}") for f in files) or (ROOT / word).exists()
            )
            assert known, f"{name}: {word} does not exist"
