"""Pipes, devices and files of absurd sizes in the place of a bundle's file."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from service.bundle import FILES, Bundle
from service.errors import BundleError
from service.files.bundle_files import usable_memory
from tests.support.bundles import Edit, edit_manifest
from tests.support.server_process import failure

NAMES = ["manifest.json", *FILES]


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "b"))


def refusal(bundle: Path) -> str:
    with pytest.raises(BundleError) as found:
        Bundle.load(bundle)
    assert "\n" not in found.value.message
    return found.value.message


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


PLACED: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": listening,
    "folder": Path.mkdir,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "empty device": lambda path: path.symlink_to("/dev/null"),
    "link to itself": lambda path: path.symlink_to(path),
    "link to nothing": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("kind", PLACED)
@pytest.mark.parametrize("name", NAMES)
def test_other_file_types_are_refused_at_once(copy: Path, name: str, kind: str) -> None:
    (copy / name).unlink()
    PLACED[kind](copy / name)
    assert name in refusal(copy)


def test_a_start_does_not_wait_for_a_pipe(copy: Path) -> None:
    (copy / "weights.bin").unlink()
    os.mkfifo(copy / "weights.bin")
    said = failure("--bundle", str(copy), "--port", "0")
    assert "weights.bin is not a regular file" in said


def test_a_file_behind_a_link_is_read(copy: Path) -> None:
    (copy / "weights.bin").rename(copy / "elsewhere")
    (copy / "weights.bin").symlink_to("elsewhere")
    assert Bundle.load(copy).contents["weights.bin"] == (copy / "elsewhere").read_bytes()


def test_a_file_larger_than_memory_is_never_read(copy: Path) -> None:
    """The file is sparse, and the manifest has its size."""
    size = usable_memory() + 1
    with (copy / "weights.bin").open("r+b") as file:
        file.truncate(size)
    edit_manifest(copy, lambda manifest: manifest["files"]["weights.bin"].update(bytes=size))
    assert "too large" in refusal(copy)


def test_a_file_of_another_size_is_never_read(copy: Path) -> None:
    with (copy / "weights.bin").open("r+b") as file:
        file.truncate(usable_memory() + 1)
    assert "bytes in the manifest" in refusal(copy)


def test_a_manifest_of_absurd_size_is_never_read(copy: Path) -> None:
    with (copy / "manifest.json").open("r+b") as file:
        file.truncate(1 << 40)
    assert "too large" in refusal(copy)


@pytest.mark.parametrize("size", [2**31, 10**18, 2**63, 10**400, -1, 0, 1.5, "many"])
@pytest.mark.parametrize("field", ["vocabulary_size", "embedding_size", "state_size"])
def test_an_absurd_size_is_refused_by_its_field(copy: Path, field: str, size: object) -> None:
    edit_manifest(copy, lambda manifest: manifest.update({field: size}))
    assert field in refusal(copy)


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (lambda m: m.update(parameters=10**400), "parameters"),
        (lambda m: m.update(unknown_token_id=10**400), "unknown_token_id"),
        (lambda m: m.update(prefix_token_id=10**400), "prefix_token_id"),
        (lambda m: m["files"]["weights.bin"].update(bytes=10**400), "weights.bin"),
    ],
)
def test_absurd_figures_are_refused_by_their_field(copy: Path, edit: Edit, field: str) -> None:
    edit_manifest(copy, edit)
    assert field in refusal(copy)


def test_a_manifest_nested_without_end_is_refused(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    text = json.dumps(manifest | {"training": {"a": "HERE"}})
    nested = text.replace('"HERE"', "[" * 100_000 + "]" * 100_000)
    (copy / "manifest.json").write_text(nested)
    assert "manifest.json" in refusal(copy)
