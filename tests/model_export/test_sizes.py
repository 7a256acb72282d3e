"""Tests of the size of a bundle relative to its parameters."""

from pathlib import Path

import pytest

from model_export.export import Precision
from service.bundle import Bundle
from tests.support.numpy_lstm import Exported
from train.config import ModelConfig
from train.model.lstm import parameter_count

GRAPHS_AND_WEIGHTS = ("encoder.onnx", "decoder.onnx", "weights.bin")


@pytest.fixture(scope="module", params=[32, 256])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Return narrow and wide models with 1 M parameters in the tied matrix."""
    width = int(request.param)
    config = ModelConfig(embedding_size=width, hidden_size=width, layers=1)
    return Exported(tmp_path_factory.mktemp("large"), config, vocabulary=2**20 // width)


def size(path: Path) -> int:
    contents = Bundle.load(path).contents
    return sum(len(contents[name]) for name in GRAPHS_AND_WEIGHTS)


def test_float32_takes_4_bytes_per_parameter(large: Exported) -> None:
    parameters = parameter_count(large.model)
    assert parameters > 2**20
    assert 4 * parameters <= size(large.bundle("float32")) <= 1.02 * 4 * parameters


def test_int8_takes_1_byte_per_weight_plus_scales(large: Exported) -> None:
    rows = {name: len(p) for name, p in large.model.named_parameters()}
    vocabulary, gates = rows["embedding.weight"], rows["layers.0.weight_ih_l0"]
    columns = 2 * (large.engine().embedding_size + 2)
    weights = vocabulary * large.engine().embedding_size + (gates + 8) * columns
    scales_and_biases = 4 * (2 * vocabulary + 4 * (gates + 8))
    int8: Precision = "int8"
    assert size(large.bundle(int8)) <= 1.02 * (weights + scales_and_biases)
