"""Tests of the README: its curl commands and responses, its examples, its tree."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sh\n(curl .*?)```\n```json\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```\n```\n(.*?)```", README, re.DOTALL)
TRAINING = re.search(r"```sh\n(make train .*?)```", README, re.DOTALL)


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[str]:
    """Start a service with `command`, yield its address, and stop that process."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "TIEDLM_PORT": "0", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if address := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield address[0]
                return
        raise AssertionError("the service printed no address")
    finally:
        process.terminate()
        assert process.stdout is not None
        process.stdout.close()
        process.wait(30)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running([sys.executable, "-m", "service"]) as found:
        yield found


def close(found: Any, expected: Any) -> bool:
    """Compare JSON, with floats to 1e-4 because the README's come from another processor."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            close(found[k], v) for k, v in expected.items()
        )
    if isinstance(expected, list):
        pairs = zip(found, expected, strict=True)
        return len(found) == len(expected) and all(close(f, e) for f, e in pairs)
    if isinstance(expected, float):
        return bool(found == pytest.approx(expected, rel=1e-4))
    return bool(found == expected)


def there(text: str, address: str) -> str:
    """Replace the README's address by that of the service under test."""
    return text.replace("http://127.0.0.1:8000", address)


def _replaced(word: str, replacements: dict[str, str]) -> str:
    for name, path in replacements.items():
        word = word.replace(name, path)
    return word


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 5
    assert len(PYTHON) == 1
    assert TRAINING is not None


def folders_of_the_tree() -> set[str]:
    """Return the paths of the README's tree, whose indentation is two spaces a level."""
    tree = re.search(r"## The tree\n\n```\n(.*?)```", README, re.DOTALL)
    assert tree is not None
    parents: list[str] = []
    found = set()
    for indent, name in re.findall(r"^( *)([\w.]+)/ +\S", tree[1], re.MULTILINE):
        parents = [*parents[: len(indent) // 2], name]
        found.add("/".join(parents))
    return found


def test_the_tree_names_every_folder() -> None:
    mirrored = ("tests/service", "tests/train", "tests/model_export")  # as the code
    listed = ["git", "ls-files", "-co", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    folders = {str(path.parent) for path in map(Path, files.splitlines()) if len(path.parts) > 1}
    named = folders_of_the_tree()
    missing = {
        folder
        for folder in folders - named
        if not folder.startswith((*mirrored, "tests/programs/", "docker/grafana/", ".ci"))
        and folder != "tests/clients/task"
        and (ROOT / folder).exists()
    }
    assert missing == set()
    assert {folder for folder in named if not (ROOT / folder).is_dir()} == set()


@pytest.mark.parametrize(("command", "answer"), EXAMPLES)
def test_a_curl_command_returns_the_printed_response(
    address: str, command: str, answer: str
) -> None:
    words = shlex.split(there(command.replace("\\\n", " "), address))
    output = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert close(json.loads(output), json.loads(answer)), output


@pytest.mark.parametrize(("code", "answer"), PYTHON)
def test_the_python_example_prints_its_output(address: str, code: str, answer: str) -> None:
    script = [sys.executable, "-c", there(code, address)]
    printed = subprocess.run(script, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert printed == answer


def test_the_training_example_runs(tmp_path: Path) -> None:
    assert TRAINING is not None
    train, export, serve = TRAINING[1].strip().splitlines()
    text = tmp_path / "my-text"
    text.mkdir()
    lines = [f"The {n} cats sat on {n + 1} mats, and it rained." for n in range(300)]
    (text / "story.txt").write_text("\n".join(lines), encoding="utf-8")
    here = {"my-text": str(text), "runs/mine": str(tmp_path / "mine")}
    for command in (train, export):
        words = [_replaced(word, here) for word in shlex.split(command)]
        subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "mine" / "learning_curve.png").exists()
    assert serve == 'make serve ARGS="--bundle runs/mine-bundle"'
    bundle = str(tmp_path / "mine-bundle")
    with running([sys.executable, "-m", "service", "--bundle", bundle]) as address:
        words = ["curl", "-s", f"{address}/info"]
        info = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    assert info["model"] == "tiny"
