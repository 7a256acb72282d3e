"""Tests with models that amplify rounding: right graphs pass the checks, wrong ones fail."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_export import batch
from model_export.errors import ExportError
from model_export.export import PRECISIONS, Precision, export
from model_export.fidelity import compare
from model_export.parity import check_parity
from model_export.reference import DoubleLSTM
from service.bundle import Bundle
from service.inference.engine import OnnxEngine
from tests.support import wrong_exports
from tests.support.graph_counting import write_counting_checkpoint
from tests.support.numpy_lstm import NumpyLSTM
from tests.support.tiny_training import write_checkpoint
from train.checkpoint import Checkpoint, load_model
from train.config import ModelConfig
from train.model.lstm import TiedLSTM

# (layers, embedding and hidden size, vocabulary, gain of the matrices)
MODELS = {
    "1 layer": (1, 32, 300, 1.0),
    "2 layers": (2, 32, 300, 1.0),
    "3 layers": (3, 24, 300, 2.0),
    "rounding grows": (2, 64, 300, 8.0),
}


def config(layers: int, width: int) -> ModelConfig:
    return ModelConfig(embedding_size=width, hidden_size=width, layers=layers)


class Counting:
    def __init__(self, folder: Path, name: str, seed: int = 0) -> None:
        layers, width, vocabulary, gain = MODELS[name]
        self.checkpoint, self.model = write_counting_checkpoint(
            folder / "out", config(layers, width), vocabulary, seed, gain
        )
        export(self.checkpoint, folder / "bundle", "float32")
        self.bundle = Bundle.load(folder / "bundle")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counting]:
    return {name: Counting(tmp_path_factory.mktemp("counting"), name) for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", range(2))
def test_right_graphs_of_counting_models_pass(
    models: dict[str, Counting], name: str, seed: int
) -> None:
    counting = models[name]
    figures = check_parity(counting.model, OnnxEngine(counting.bundle), seed)
    assert figures.max_abs_state > 82
    worst, mean = "max_abs_logprob_difference", "mean_abs_logprob_difference"
    assert 0 < getattr(figures, mean) < getattr(figures, worst)
    assert 0 < getattr(figures, f"torch_{mean}") < getattr(figures, f"torch_{worst}")


def test_a_right_graph_passes_beyond_a_fixed_limit(tmp_path: Path) -> None:
    """Rounding changes scores of these models by more than 1e-4, in torch and in the graph."""
    for seed in range(2):
        parity = Counting(tmp_path / str(seed), "rounding grows", seed).bundle.manifest.parity
        assert parity["max_abs_logprob_difference"] > 1e-4
        assert parity["torch_max_abs_logprob_difference"] > 1e-4


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_word_model_of_5000_entries_exports(tmp_path: Path, precision: Precision) -> None:
    checkpoint, _ = write_counting_checkpoint(tmp_path / "out", config(2, 128), 5000, seed=3)
    manifest = export(checkpoint, tmp_path / "bundle", precision)
    assert manifest.parity["max_abs_state"] > 82
    assert OnnxEngine(Bundle.load(tmp_path / "bundle")).vocabulary_size == 5000


def scaled(checkpoint: Path, factor: float) -> TiedLSTM:
    """Return the trained model with larger layers, and save it in its checkpoint."""
    model, _, _ = load_model(checkpoint)
    for layer in model.lstm_layers():
        for parameter in layer.parameters():
            parameter.data.mul_(factor)
    Checkpoint(checkpoint).save("model.pt", {"weights": model.state_dict(), "step": 0})
    return model


@pytest.mark.parametrize("factor", [2.0, 6.0])
def test_trained_and_scaled_models_pass(trained: Path, tmp_path: Path, factor: float) -> None:
    checkpoint = Path(shutil.copytree(trained, tmp_path / "out"))
    model = scaled(checkpoint, factor)
    export(checkpoint, tmp_path / "bundle", "float32")
    check_parity(model, OnnxEngine(Bundle.load(tmp_path / "bundle")), seed=1)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("change", wrong_exports.WEIGHTS, ids=lambda change: change.__name__)
def test_wrong_weights_fail(models: dict[str, Counting], name: str, change: Any) -> None:
    engine = OnnxEngine(wrong_exports.with_weights(models[name].bundle, change))
    with pytest.raises(ExportError, match="differ from the checkpoint"):
        check_parity(models[name].model, engine)


@pytest.mark.parametrize("name", ["2 layers", "rounding grows"])
@pytest.mark.parametrize("change", wrong_exports.GRAPHS, ids=lambda change: change.__name__)
def test_wrong_graphs_fail(models: dict[str, Counting], name: str, change: Any) -> None:
    engine = OnnxEngine(wrong_exports.with_encoder(models[name].bundle, change))
    with pytest.raises(ExportError, match="differ from the checkpoint"):
        check_parity(models[name].model, engine)


def test_the_figure_and_the_input_are_named(models: dict[str, Counting]) -> None:
    counting = models["2 layers"]
    engine = OnnxEngine(
        wrong_exports.with_weights(counting.bundle, wrong_exports.missing_output_bias)
    )
    with pytest.raises(ExportError) as caught:
        check_parity(counting.model, engine)
    assert re.fullmatch(
        r"the exported graphs differ from the checkpoint by \d\.\d\de[-+]0\d, more than "
        r"\d\.\d\de-0\d, in the log-probabilities of 1 sequence of 1 token from random states "
        r"\(token 1; largest \S+, mean \S+, of torch's float32 \S+ and \S+\); "
        r"no bundle was written",
        str(caught.value),
    )


@pytest.mark.parametrize(
    "change",
    [wrong_exports.missing_output_bias, wrong_exports.missing_bias],
    ids=lambda change: change.__name__,
)
def test_wrong_int8_weights_fail(tmp_path: Path, change: Any) -> None:
    """An untrained model's perplexity shows no error; its distributions do."""
    checkpoint, _ = write_checkpoint(tmp_path / "out", config(2, 32), 200)
    for precision in PRECISIONS:
        export(checkpoint, tmp_path / precision, precision)
    float32, int8 = (Bundle.load(tmp_path / precision) for precision in PRECISIONS)
    ids = Checkpoint(checkpoint).validation_ids()
    right = compare(OnnxEngine(float32), OnnxEngine(int8), ids, 1)
    right.check()
    other = OnnxEngine(wrong_exports.with_weights(int8, change))
    with pytest.raises(ExportError, match="no bundle was written"):
        compare(OnnxEngine(float32), other, ids, 1).check()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_checkpoint_that_is_not_finite_is_named(tmp_path: Path, value: float) -> None:
    checkpoint, model = write_checkpoint(tmp_path / "out", config(1, 8))
    model.embedding.weight.data[3, 3] = value
    Checkpoint(checkpoint).save("model.pt", {"weights": model.state_dict(), "step": 0})
    with pytest.raises(ExportError, match=r"the checkpoint itself has .* that are not finite"):
        export(checkpoint, tmp_path / "bundle", "float32")
    assert not (tmp_path / "bundle").exists()


def test_exact_figures_are_those_of_the_equations(models: dict[str, Counting]) -> None:
    counting = models["3 layers"]
    random, lengths = np.random.default_rng(0), [3, 1, 17]
    ids = random.integers(0, 300, (3, 17))
    exact, again = DoubleLSTM.of(counting.model), NumpyLSTM(counting.model)
    size = counting.bundle.manifest.state_size
    states = random.normal(size=(3, size)).astype(np.float32)
    hidden, ends = exact.forward(ids, lengths, states)
    runs = [again.run(row[:n], s) for row, n, s in zip(ids, lengths, states, strict=True)]
    assert np.allclose(hidden, np.concatenate([h for h, _ in runs]), rtol=0, atol=1e-9)
    assert np.allclose(ends, np.stack([end for _, end in runs]), rtol=0, atol=1e-9)
    rows = again.log_distribution(hidden)
    assert np.allclose(exact.log_distribution(hidden), rows, rtol=0, atol=1e-10)


def test_a_right_graph_of_many_words_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums over 200,000 words lose more precision than their terms."""
    monkeypatch.setattr(batch, "LENGTHS", ([1], [7, 7], [2, 3], [4, 2]))
    monkeypatch.setattr(batch, "LENGTHS_FROM_REACHED", ([1] * 2,))
    model = ModelConfig(embedding_size=8, hidden_size=8, layers=2)
    checkpoint, network = write_checkpoint(tmp_path / "out", model, 200_000, seed=1)
    network.embedding.weight.data.mul_(0.05)
    Checkpoint(checkpoint).save("model.pt", {"weights": network.state_dict(), "step": 0})
    manifest = export(checkpoint, tmp_path / "bundle", "float32")
    assert manifest.vocabulary_size == 200_000
