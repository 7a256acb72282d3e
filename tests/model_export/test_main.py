"""Tests of the command `python -m model_export CHECKPOINT BUNDLE`."""

import re
from pathlib import Path

import pytest

from model_export import figure
from model_export.__main__ import main
from service.bundle import Bundle
from tests.support.tiny_training import contents, full_disk, start, write_checkpoint
from train.config import ModelConfig

Capture = pytest.CaptureFixture[str]
SMALL = ModelConfig(embedding_size=8, hidden_size=12, layers=2)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "checkpoint", SMALL)[0]


def fails(capsys: Capture, *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    error = captured.err.replace("\r", "\n").rstrip("\n").rpartition("\n")[2]
    assert error.startswith("error: ")
    assert captured.err.count("error: ") == 1
    assert "Traceback" not in captured.err
    assert captured.out == ""
    return error


def test_the_bundle_is_int8_unless_asked_otherwise(
    checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    target = tmp_path / "bundle"
    for arguments, precision in (
        ([], "int8"),
        (["--replace", "--precision", "float32"], "float32"),
    ):
        assert main([str(checkpoint), str(target), *arguments]) == 0
        assert Bundle.load(target).manifest.precision == precision
        line, log = capsys.readouterr()
        assert log == ""  # bars are shown on terminals alone
        assert line.startswith(f"{target}: toy, 2,210 parameters, 0.0 MB")
        assert re.search(r"at most \d\.\de-0\d nats a token, in the mean by \d\.\de-0\d", line)
        assert line.count("\n") == 1


def test_error_is_one_line_and_exit_code_1(
    checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    target = tmp_path / "bundle"
    assert "missing is not a checkpoint" in fails(capsys, tmp_path / "missing", target)
    assert "checkpoint exists" in fails(capsys, checkpoint, checkpoint)
    untied = SMALL.model_copy(update={"tied": False})
    other, _ = write_checkpoint(tmp_path / "untied", untied)
    assert "untied" in fails(capsys, other, target)
    (checkpoint / "model.pt").write_bytes(b"damaged")
    assert "model.pt" in fails(capsys, checkpoint, target)
    assert not target.exists()


def test_a_failed_comparison_writes_no_bundle(
    checkpoint: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure, "WORST_PER_NOISE", 1e-9)
    monkeypatch.setattr(figure, "FLOOR", 1e-12)
    before = contents(tmp_path)
    error = fails(capsys, checkpoint, tmp_path / "bundle")
    assert re.search(r"differ from the checkpoint by \d\.\d\de-0\d", error)
    assert contents(tmp_path) == before


def test_full_disk_and_bad_path_are_named(
    checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    before = contents(tmp_path)
    with full_disk(2000):
        error = fails(capsys, checkpoint, tmp_path / "bundle", "--precision", "float32")
    assert error == f"error: File too large: {tmp_path / 'bundle'}"
    assert "config.json" in fails(capsys, checkpoint, checkpoint / "config.json" / "bundle")
    assert contents(tmp_path) == before


def test_process_exits_with_code_1_and_one_line(tmp_path: Path) -> None:
    process = start("model_export", tmp_path / "missing", tmp_path / "bundle")
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
