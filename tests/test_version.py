"""Tests that every file states the version of pyproject.toml."""

import re
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.programs.set_version import CHANGELOG, PLACES, ROOT, set_version, versions


def test_every_file_states_the_same_version() -> None:
    found = versions(ROOT)
    assert set(found.values()) == {found["pyproject.toml"]}
    described = re.search(CHANGELOG, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert described is not None
    assert described[1] == found["pyproject.toml"]


def test_the_installed_version_is_that_of_the_clone() -> None:
    assert version("tiedlm") == versions(ROOT)["pyproject.toml"]


def test_a_new_version_reaches_every_file(tmp_path: Path) -> None:
    for name in PLACES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    set_version(tmp_path, "7.8.9")
    assert versions(tmp_path) == dict.fromkeys(PLACES, "7.8.9")
    before = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    after = (tmp_path / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1


@pytest.mark.parametrize("wrong", ["", "1", "v1.2.3", "1.2", "1.2.3; x"])
def test_a_wrong_version_is_rejected(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        set_version(tmp_path, wrong)
