import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support.tiny_training import write_config, write_corpus
from tests.support.train_command import Train
from train.__main__ import main


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: faster for toy models, and results do not depend on the machine's cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tiedlm"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "data")


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return write_config(tmp_path / "toy.toml")


@pytest.fixture
def train(config_file: Path, corpus: Path, tmp_path: Path) -> Train:
    return Train(config_file, corpus, tmp_path / "out")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train two runs that differ in three keys and in their names."""
    folder = tmp_path_factory.mktemp("finished")
    corpus, config = write_corpus(folder / "data"), write_config(folder / "toy.toml")
    for name, *keys in (("one",), ("two", "model.tied=false", "train.epochs=3", "train.seed=9")):
        overrides = [part for key in (f"name={name}", *keys) for part in ("--set", key)]
        out = ["--out", str(folder / name)]
        assert main([str(config), "--data", str(corpus), *out, *overrides]) == 0
    return folder


@pytest.fixture
def runs(finished: Path, tmp_path: Path) -> Path:
    """Copy the finished runs, so that a test may damage them."""
    return shutil.copytree(finished, tmp_path / "runs")
