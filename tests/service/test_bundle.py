"""Damaged and foreign bundles are rejected with the reason in one line."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from service.bundle import FILES, Bundle
from service.errors import BundleError
from service.inference.engine import OnnxEngine
from service.language_model import LanguageModel
from service.settings import Settings
from tests.support.bundles import Edit, edit_manifest, replace


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "bundle"))


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(BundleError) as error:
        load()
    assert "\n" not in error.value.message
    return error.value.message


def test_a_bundle_holds_the_bytes_of_its_files(copy: Path) -> None:
    bundle = Bundle.load(copy)
    assert bundle.contents == {name: (copy / name).read_bytes() for name in FILES}
    assert bundle.hash == hashlib.sha256((copy / "manifest.json").read_bytes()).hexdigest()
    assert bundle.manifest.vocabulary_size == len(
        json.loads((copy / "tokenizer.json").read_text())["model"]["vocab"]
    )


@pytest.mark.parametrize("name", ["manifest.json", *FILES])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    assert f"{name}: No such file" in refusal(lambda: Bundle.load(copy))


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_found(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    assert f"{name} was changed" in refusal(lambda: Bundle.load(copy))


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_found(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-1])
    message = refusal(lambda: Bundle.load(copy))
    assert f"{name} has {len(content) - 1} bytes" in message
    assert str(len(content)) in message


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (lambda m: m.update(format_version=3), "format_version"),
        (lambda m: m.pop("format_version"), "format_version"),
        (lambda m: m.update(precision="float7"), "precision"),
        (lambda m: m.update(vocabulary_size=0), "vocabulary_size"),
        (lambda m: m.update(name="a/b"), "name"),
        (lambda m: m.update(prefix_token_id=0), "prefix_token_id"),
        (lambda m: m["files"].pop("weights.bin"), "weights.bin"),
        (lambda m: m["files"]["weights.bin"].update(sha256="none"), "files.weights.bin.sha256"),
        (lambda m: m.update(vocabulary_sise=1), "vocabulary_sise"),
    ],
)
def test_wrong_manifest_field_is_named(copy: Path, edit: Edit, field: str) -> None:
    edit_manifest(copy, edit)
    assert field in refusal(lambda: Bundle.load(copy))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"name": NaN}'])
def test_manifest_must_be_a_json_object(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    assert "manifest.json" in refusal(lambda: Bundle.load(copy))


def test_other_format_version_names_the_supported_one(copy: Path) -> None:
    edit_manifest(copy, lambda manifest: manifest.update(format_version=3))
    assert "reads format version 2" in refusal(lambda: Bundle.load(copy))


@pytest.mark.parametrize("path", ["missing", "file"])
def test_missing_directory_is_rejected(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    assert path in refusal(lambda: Bundle.load(tmp_path / path))


@pytest.mark.parametrize("name", ["encoder.onnx", "decoder.onnx"])
def test_unreadable_graph_is_rejected(copy: Path, name: str) -> None:
    replace(copy, name, b"no graph")
    assert name in refusal(lambda: OnnxEngine(Bundle.load(copy)))


def test_short_weights_are_rejected(copy: Path) -> None:
    content = (copy / "weights.bin").read_bytes()
    replace(copy, "weights.bin", content[: len(content) // 2])
    assert "onnxruntime cannot read" in refusal(lambda: OnnxEngine(Bundle.load(copy)))


@pytest.mark.parametrize("field", ["vocabulary_size", "embedding_size", "state_size"])
def test_wrong_file_sizes_are_rejected(copy: Path, field: str) -> None:
    edit_manifest(copy, lambda manifest: manifest.update({field: manifest[field] + 8}))
    settings = Settings(bundle=copy, threads=1)
    refusal(lambda: LanguageModel(Bundle.load(copy), settings))
