"""Tests that programs never replace their inputs; jobs and plots have their own tests."""

import shutil
from pathlib import Path

import pytest

from model_export.__main__ import main as export
from tests.programs.benchmarks.__main__ import check_page
from tests.support.tiny_training import contents, write_checkpoint
from train.config import ModelConfig

SMALL = ModelConfig(embedding_size=8, hidden_size=12, layers=2)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "checkpoint", SMALL)
    return tmp_path / "checkpoint"


def test_no_bundle_replaces_its_checkpoint(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkpoint / "manifest.json").write_text("{}")  # as in a bundle
    (tmp_path / "linked").symlink_to(checkpoint)
    before = contents(tmp_path)
    for bundle in (checkpoint, tmp_path / "linked", checkpoint / "config.json"):
        assert export([str(checkpoint), str(bundle), "--replace"]) == 1
        assert f"the bundle {bundle} is the input" in capsys.readouterr().err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("inside", ["checkpoint", "test", "examples"])
def test_no_bundle_replaces_a_folder_of_its_inputs(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], inside: str
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "manifest.json").write_text("{}")
    (bundle / "text.txt").write_text("the river\n")
    if inside == "checkpoint":
        shutil.move(checkpoint, bundle / "checkpoint")
        arguments = [str(bundle / "checkpoint"), str(bundle)]
    else:
        arguments = [str(checkpoint), str(bundle), f"--{inside}", str(bundle / "text.txt")]
    before = contents(tmp_path)
    assert export([*arguments, "--replace"]) == 1
    assert "is a folder that holds the input" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_benchmark_page_replaces_only_benchmark_pages(tmp_path: Path) -> None:
    page, data = tmp_path / "page.md", tmp_path / "data"
    data.mkdir()
    (data / "train.txt").write_text("# Benchmarks of rivers\n")
    check_page(page, data)
    page.write_text("# Benchmarks\n\nof yesterday")
    check_page(page, data)
    page.write_text("years of work")
    with pytest.raises(SystemExit, match="already exists"):
        check_page(page, data)
    with pytest.raises(SystemExit, match="is the input"):
        check_page(data / "train.txt", data)
