import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from model_export import fidelity
from model_export.errors import ExportError
from model_export.export import PRECISIONS, Precision, export
from model_export.weights import WeightsFile
from service.bundle import FILES, Bundle
from service.inference.engine import OnnxEngine
from tests.support.numpy_lstm import Exported
from tests.support.tiny_training import contents, full_disk, write_checkpoint
from train.config import ModelConfig
from train.errors import CheckpointError

SMALL = ModelConfig(embedding_size=8, hidden_size=12, layers=2)
precisions = pytest.mark.parametrize("precision", PRECISIONS)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "checkpoint", SMALL)[0]


@precisions
def test_bundle_is_complete_and_its_manifest_is_true(
    exported: Exported, precision: Precision
) -> None:
    folder = exported.bundle(precision)
    assert set(contents(folder)) == {*FILES, "manifest.json", "README.md"}
    bundle = Bundle.load(folder)
    manifest, config = bundle.manifest, exported.model.config
    inner = (config.layers - 1) * config.hidden_size
    assert manifest.state_size == 2 * (inner + config.embedding_size)
    assert manifest.parameters == sum(p.numel() for p in exported.model.parameters())
    assert manifest.embedding_size == config.embedding_size
    assert (manifest.name, manifest.precision, manifest.vocabulary_size) == ("toy", precision, 50)
    assert (manifest.unknown_token_id, manifest.prefix_token_id) == (0, 1)
    assert set(manifest.files) == set(FILES)
    for name, entry in manifest.files.items():
        content = (folder / name).read_bytes()
        assert (entry.bytes, entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert manifest.training == {}
    assert 0 <= manifest.parity["max_abs_logprob_difference"] < 1e-4
    assert (manifest.fidelity is None) == (precision == "float32")
    OnnxEngine(bundle)
    saved = Tokenizer.from_file(str(exported.checkpoint / "tokenizer.json"))
    served = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert served.encode("w2 w49 nothing").ids == saved.encode("w2 w49 nothing").ids


def test_the_report_of_a_finished_run_goes_along(trained: Path, tmp_path: Path) -> None:
    export(trained, tmp_path / "bundle", "float32")
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["training"] == json.loads((trained / "report.json").read_text(encoding="utf-8"))


@precisions
def test_the_same_checkpoint_gives_the_same_bytes(
    checkpoint: Path, tmp_path: Path, precision: Precision
) -> None:
    for name in ("one", "two"):
        export(checkpoint, tmp_path / name, precision)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_parents_are_made(checkpoint: Path, tmp_path: Path) -> None:
    export(checkpoint, tmp_path / "a" / "b" / "bundle", "float32")
    Bundle.load(tmp_path / "a" / "b" / "bundle")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["bundle"]


def test_existing_bundle_is_replaced_only_on_request(checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    export(checkpoint, target, "float32")
    before = contents(tmp_path)
    with pytest.raises(ExportError, match=r"bundle exists; give another directory, or --replace"):
        export(checkpoint, target, "float32")
    assert contents(tmp_path) == before
    other, _ = write_checkpoint(tmp_path / "other", SMALL, seed=1)
    manifest = export(other, target, "float32", replace=True)
    assert Bundle.load(target).manifest == manifest
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint", "other", "bundle"}


@pytest.mark.parametrize("place", ["thesis.tex", "."])
def test_what_is_no_bundle_is_never_replaced(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis.tex").write_text("years of work")
    before = contents(tmp_path)
    with pytest.raises(ExportError, match="holds no bundle"):
        export(checkpoint, Path(place), "float32", replace=True)
    assert contents(tmp_path) == before


def test_replace_removes_only_what_an_export_wrote(checkpoint: Path, tmp_path: Path) -> None:
    extension, bundle = tmp_path / "extension", tmp_path / "bundle"
    extension.mkdir()
    manifest = {"manifest_version": 3, "name": "tabs", "version": "1.0"}
    (extension / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    export(checkpoint, bundle, "float32")
    (bundle / "NOTES.md").write_text("mine", encoding="utf-8")
    before = contents(tmp_path)
    with pytest.raises(ExportError, match="extension holds no bundle"):
        export(checkpoint, extension, "float32", replace=True)
    with pytest.raises(ExportError, match=r"bundle has NOTES\.md in it, which no export wrote"):
        export(checkpoint, bundle, "float32", replace=True)
    (bundle / "NOTES.md").unlink()
    (bundle / "README.md").unlink()
    (bundle / "README.md").mkdir()
    with pytest.raises(ExportError, match=r"bundle has README\.md in it"):
        export(checkpoint, bundle, "float32", replace=True)
    assert contents(extension) == {"manifest.json": before["extension/manifest.json"]}


def test_a_link_to_a_bundle_stays_a_link(checkpoint: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "v1", tmp_path / "links" / "current"
    link.parent.mkdir()
    link.symlink_to(target)
    for precision in PRECISIONS:  # at first the link has no target
        manifest = export(checkpoint, link, precision, replace=True)
        assert link.is_symlink()
        assert Bundle.load(target).manifest == manifest
        assert list(link.parent.iterdir()) == [link]
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint", "links", "v1"}


def _corrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = WeightsFile.tensor

    def off(self: WeightsFile, name: str, values: np.ndarray) -> Any:
        return tensor(self, name, values * np.float32(1.01) if name == "layer0.R" else values)

    monkeypatch.setattr(WeightsFile, "tensor", off)


def _coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fidelity, "LARGEST_RISE", -1.0)


def _rename_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if ".partial-" in self.name:
            raise OSError(5, "Input/output error", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize(
    ("failure", "error"),
    [(_corrupt, ExportError), (_coarse, ExportError), (_rename_fails, OSError)],
)
def test_a_failure_leaves_the_target_as_it_was(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    existing: bool,
    failure: Any,
    error: type[Exception],
) -> None:
    target = tmp_path / "bundle"
    if existing:
        export(checkpoint, target, "float32")
    before = contents(tmp_path)
    failure(monkeypatch)
    with pytest.raises(error):
        export(checkpoint, target, "int8", replace=True)
    assert contents(tmp_path) == before
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"checkpoint", *(["bundle"] if existing else [])}


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("room", [0, 2000, 8000])
def test_a_full_disk_writes_no_bundle(
    checkpoint: Path, tmp_path: Path, existing: bool, room: int
) -> None:
    target = tmp_path / "bundle"
    if existing:
        export(checkpoint, target, "float32")
    before = contents(tmp_path)
    with full_disk(room), pytest.raises(OSError, match="File too large"):
        export(checkpoint, target, "float32", replace=True)
    assert contents(tmp_path) == before
    assert target.exists() == existing


def test_an_untied_model_is_refused(tmp_path: Path) -> None:
    model = SMALL.model_copy(update={"tied": False})
    checkpoint, _ = write_checkpoint(tmp_path / "checkpoint", model)
    with pytest.raises(ExportError, match=r"checkpoint is untied \(model\.tied = false\)"):
        export(checkpoint, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "model.pt", "validation_ids.npy"]
)
def test_missing_checkpoint_file_is_named(checkpoint: Path, tmp_path: Path, name: str) -> None:
    (checkpoint / name).unlink()
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        export(checkpoint, tmp_path / "bundle", "int8")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
