"""Every command line of the README works as printed, in a copy of the tree and a bare environment.

`python` is that of an activated environment, as the README's first line makes one. What needs an
index, a container engine or minutes is checked with `make -n`, or by its extras.
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
# What each kind of line is checked by.
PROGRAMS = [line for line in LINES if line.startswith("python -m ")]
MAKE = [line for line in LINES if line.startswith("make ")]
INSTALLS = [line for line in LINES if line.startswith("pip install ")]
ASKED = [line for line in LINES if line.startswith(("curl ", "-d "))]  # tests/test_readme.py
ELSEWHERE = [
    line
    for line in LINES
    if line.startswith("docker build ")  # make container
    or "--index-url <that address>" in line  # no line for a shell
]
PARTS = ["service", "model_export", "train", "Makefile", "README.md", "pyproject.toml"]
PARTS += ["requirements.lock", "constraints.txt", "LICENSE", "NOTICE"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as a clone has it, and the files that the README's lines name."""
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
    """What a new shell has, with this test's environment activated."""
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


def test_every_line_is_of_a_kind_that_is_checked() -> None:
    assert set(LINES) == {*PROGRAMS, *MAKE, *INSTALLS, *ASKED, *ELSEWHERE}
    assert min(len(PROGRAMS), len(MAKE)) > 4
    assert len(INSTALLS) == 1
    assert "python" in README.partition("## Use it")[0]


def test_programs_work_in_their_order(clone: Path, tmp_path: Path) -> None:
    for line in PROGRAMS:
        done = run(clone, tmp_path, line)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        words = shlex.split(line)
        out = clone / words[words.index("--out") + 1]
        assert out.stat().st_size > 100, line


@pytest.mark.parametrize("line", MAKE)
def test_make_lines_name_what_they_need(clone: Path, tmp_path: Path, line: str) -> None:
    """Dry: which environment is set up, and which program of it gets the arguments."""
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
    """`make venv` with a ready environment, then `python` is its own."""
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
    """tests/test_readme.py runs what they run; here, that one's output is the next one's input."""
    assert TRAINING is not None
    train, export, serve = map(shlex.split, TRAINING[1].strip().splitlines())
    assert f"CHECKPOINT={train[-1].removeprefix('OUT=')}" in export
    assert serve[-1].endswith(export[-1].removeprefix("BUNDLE="))


def test_every_extra_that_is_named_is_one() -> None:
    assert {name for _, name in HINTS.findall(README)} >= {"client", "bulk", "plot", "notebook"}


def test_every_file_that_the_documents_name_is_here() -> None:
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
