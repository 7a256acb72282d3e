"""docker/build_and_smoke.sh with fake engines that store image names: which images remain."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import container_engine
from tests.support.docker_files import DOCKER, ROOT


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with a fake docker, podman and python3 that record their commands."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("docker", "podman"):
        script = f'#!/bin/sh\nexec "{sys.executable}" "{container_engine.__file__}" {name} "$@"\n'
        (programs / name).write_text(script)
    (programs / "python3").write_text(
        f'#!/bin/sh\n[ "$1" = -m ] || exec "{sys.executable}" "$@"\n'
        f'echo "$@" >> "{tmp_path}/smoke_runs"\nexit "${{SMOKE_FAILS:-0}}"\n'
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    return f"{programs}:{os.environ['PATH']}"


def run(tmp_path: Path, path: str, *arguments: str, **variables: str) -> tuple[int, str]:
    (tmp_path / "base.tar").touch()
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("CONTAINERS_", "TIEDLM_"))}
    done = subprocess.run(
        [str(DOCKER / "build_and_smoke.sh"), *arguments],
        cwd=ROOT,
        env=keep
        | {"PATH": path, "TMPDIR": str(work), "ENGINE_FOLDER": str(tmp_path)}
        | {"BASE": str(tmp_path / "base.tar"), "KEEP": ""}
        | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert list(work.iterdir()) == [], "a temporary folder remains"
    return done.returncode, done.stdout + done.stderr


def images(tmp_path: Path) -> dict[str, str]:
    """Return the images in the machine's own store."""
    file = tmp_path / "machine.json"
    return json.loads(file.read_text()) if file.exists() else {}


@pytest.mark.parametrize("name", ["podman", "docker"])
@pytest.mark.parametrize("arguments", [[], ["--train"]], ids=["service", "train"])
@pytest.mark.parametrize("keep", ["", "tiedlm"])
def test_only_the_kept_image_remains(
    tmp_path: Path, path: str, name: str, arguments: list[str], keep: str
) -> None:
    before = {"unrelated": "an image"}
    (tmp_path / "machine.json").write_text(json.dumps(before))
    status, output = run(tmp_path, path, *arguments, ENGINE=name, KEEP=keep)
    assert status == 0, output
    kept = {keep: "Dockerfile"} if keep else {}
    assert images(tmp_path) == before | kept
    smoke_runs = (tmp_path / "smoke_runs").read_text().splitlines()
    assert len(smoke_runs) == 1 + len(arguments)
    assert all(line.startswith(f"-m tests.programs.smoke {name} ") for line in smoke_runs)


@pytest.mark.parametrize("name", ["podman", "docker"])
def test_failing_image_is_not_kept(tmp_path: Path, path: str, name: str) -> None:
    status, output = run(tmp_path, path, ENGINE=name, KEEP="tiedlm", SMOKE_FAILS="1")
    assert status == 1
    assert "the container works" not in output
    assert images(tmp_path) == {}


def test_podman_replaces_a_stopped_docker(tmp_path: Path, path: str) -> None:
    for runs, name in (("", "podman"), ("1", "docker")):
        status, output = run(tmp_path, path, DOCKER_RUNS=runs)
        assert status == 0, output
        assert f"engine: {name} version" in output


def test_kept_image_uses_own_podman_settings(tmp_path: Path, path: str) -> None:
    own = tmp_path / "own"
    settings = tmp_path / "storage.conf"
    settings.write_text(f'graphroot = "{own}"\n')
    status, output = run(
        tmp_path, path, ENGINE="podman", KEEP="tiedlm", CONTAINERS_STORAGE_CONF=str(settings)
    )
    assert status == 0, output
    assert json.loads((own / "images.json").read_text()) == {"tiedlm": "Dockerfile"}
