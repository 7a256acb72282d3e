from pathlib import Path

import pytest

from tests.support.numpy_lstm import Exported
from tests.support.tiny_training import write_config, write_corpus
from tests.support.train_command import Train
from tests.train.conftest import one_thread
from train.config import ModelConfig

__all__ = ["one_thread"]

SHAPES = {
    "1 layer": ModelConfig(embedding_size=8, hidden_size=12, layers=1),
    "2 layers": ModelConfig(embedding_size=8, hidden_size=12, layers=2),
    "3 layers": ModelConfig(embedding_size=12, hidden_size=7, layers=3),
}


@pytest.fixture(scope="session", params=SHAPES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("exported"), SHAPES[request.param])


@pytest.fixture(scope="session")
def two_layers(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("two_layers"), SHAPES["2 layers"])


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run, and return its checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    config, data = write_config(folder / "toy.toml"), write_corpus(folder / "data")
    assert Train(config, data, folder / "out")() == 0
    return folder / "out"
