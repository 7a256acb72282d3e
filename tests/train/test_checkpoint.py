import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.tiny_training import contents, full_disk, tensors_equal, write_checkpoint
from train.checkpoint import FILES, VALIDATION_IDS, Checkpoint, load_model
from train.config import Config, ModelConfig
from train.data.tokenizer import fit_tokenizer
from train.errors import CheckpointError, TrainError

SMALL = ModelConfig(embedding_size=4, hidden_size=6, layers=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "out", SMALL, vocabulary_size=20)[0]


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    folder, network = write_checkpoint(tmp_path / "out", SMALL, vocabulary_size=20)
    model, config, tokenizer = load_model(folder)
    assert tensors_equal(model.state_dict(), network.state_dict())
    assert not model.training
    assert config.model == SMALL
    assert tokenizer.encode("w10 w9 other").ids == [2, 19, 0]  # words are ordered by spelling
    ids = Checkpoint(folder).validation_ids()
    assert ids.dtype == np.int32
    assert ids.tolist() == np.random.default_rng(0).integers(0, 20, 600).tolist()


def test_first_100_000_validation_ids_are_kept(tmp_path: Path) -> None:
    ids = np.arange(VALIDATION_IDS + 7, dtype=np.int32)
    checkpoint = Checkpoint(tmp_path)
    checkpoint.write_inputs(fit_tokenizer(Config(name="toy").tokenizer, ["a"]), ids)
    assert checkpoint.validation_ids().tolist() == list(range(100_000))


def test_a_folder_is_claimed_for_one_configuration(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "deep" / "out")
    config = Config(name="toy", model=SMALL)
    checkpoint.start(config)
    before = contents(tmp_path)
    checkpoint.start(config)
    assert checkpoint.config() == config
    with pytest.raises(CheckpointError, match="out holds a run of another configuration"):
        checkpoint.start(Config(name="toy"))
    assert contents(tmp_path) == before
    assert checkpoint.report is None


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.pt"])
@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        lambda path: path.write_bytes(b"\xff\x00 no such thing"),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["missing", "empty", "cut", "garbage", "folder"],
)
def test_a_damaged_file_is_named(folder: Path, name: str, damage: Callable[[Path], Any]) -> None:
    damage(folder / name)
    with pytest.raises(CheckpointError, match=re.escape(name)) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", b"text", None])
def test_damaged_validation_ids_are_named(folder: Path, damage: bytes | None) -> None:
    path = folder / "validation_ids.npy"
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    with pytest.raises(CheckpointError, match=r"validation_ids\.npy"):
        Checkpoint(folder).validation_ids()


@pytest.mark.parametrize("content", ['{"name": "toy", "colour": 1}', "[]", "null", '{"name": 1}'])
def test_a_wrong_config_json_is_named(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(TrainError, match=r"config\.json"):
        load_model(folder)


@pytest.mark.parametrize("change", ["wider", "deeper", "untied", "vocabulary", "missing", "none"])
def test_weights_that_do_not_fit_are_named(tmp_path: Path, folder: Path, change: str) -> None:
    other: dict[str, dict[str, Any]] = {
        "wider": {"hidden_size": 7},
        "deeper": {"layers": 3},
        "untied": {"tied": False},
    }
    size = 21 if change == "vocabulary" else 20
    model = SMALL.model_copy(update=other.get(change, {}))
    content = Checkpoint(write_checkpoint(tmp_path / "other", model, size)[0]).load("model.pt")
    if change == "missing":
        del content["weights"]["output_bias"]
    if change == "none":
        del content["weights"]
    Checkpoint(folder).save("model.pt", content)
    with pytest.raises(CheckpointError, match=r"model\.pt does not fit config\.json"):
        load_model(folder)


@pytest.mark.parametrize(
    "content",
    [saved([1, 2]), saved(torch.zeros(2)), saved(None), b"\x80\x02hn."],
    ids=["list", "tensor", "none", "broken pickle"],
)
def test_a_file_of_something_else_is_named(folder: Path, content: bytes) -> None:
    (folder / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.pt"):
        load_model(folder)


def test_damaged_file_suggests_no_unsafe_loading(folder: Path) -> None:
    (folder / "model.pt").write_bytes(b"garbage")
    with pytest.raises(CheckpointError) as caught:
        load_model(folder)
    assert "weights_only" not in str(caught.value)


class Intruder:
    """An object that writes a file if it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.target, "was here")


def test_code_in_a_file_is_not_run(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "intruded"
    for content in (saved({"weights": Intruder(target)}), pickle.dumps(Intruder(target), 2)):
        (folder / "model.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"model\.pt"):
            load_model(folder)
        assert not target.exists()
    pickle.loads(content)  # which proves that the payload works
    assert target.exists()


def test_a_full_disk_keeps_the_last_save(folder: Path) -> None:
    before = contents(folder)
    checkpoint = Checkpoint(folder)
    with full_disk(1000), pytest.raises(OSError, match="File too large"):
        checkpoint.save("model.pt", {"weights": torch.zeros(1000)})
    assert contents(folder) == before


def test_a_damaged_report_is_named(folder: Path) -> None:
    (folder / "report.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"report\.json"):
        _ = Checkpoint(folder).report


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", ["{}\n", '{"name": "toy"}', "# My thesis\n", "[]"])
def test_a_folder_with_foreign_files_is_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(TrainError, match=re.escape(name)):
        Checkpoint(tmp_path).start(Config(name="toy"))
    assert contents(tmp_path) == {name: content.encode()}


def test_a_foreign_link_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "model.pt").symlink_to(tmp_path / "missing")
    with pytest.raises(CheckpointError, match=r"has model\.pt in it, which no run wrote; give"):
        Checkpoint(tmp_path).check(Config(name="toy"))
