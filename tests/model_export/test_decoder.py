from pathlib import Path

import numpy as np
import pytest
import torch

from model_export.export import export
from service.bundle import Bundle
from service.inference.engine import OnnxEngine
from tests.support.numpy_lstm import Exported, NumpyLSTM
from tests.support.tiny_training import write_checkpoint
from train.checkpoint import Checkpoint
from train.config import ModelConfig

V = 50
TIED_WORDS = [3, 7, 20, 41]


@pytest.fixture(scope="module")
def with_ties(tmp_path_factory: pytest.TempPathFactory) -> tuple[OnnxEngine, NumpyLSTM]:
    """Export a model in which TIED_WORDS have equal scores: zero embeddings, one bias."""
    folder = tmp_path_factory.mktemp("ties")
    config = ModelConfig(embedding_size=8, hidden_size=8, layers=1)
    checkpoint, model = write_checkpoint(folder / "checkpoint", config, V)
    with torch.no_grad():
        model.embedding.weight[TIED_WORDS] = 0.0
        model.output_bias[TIED_WORDS] = 0.25
    Checkpoint(checkpoint).save("model.pt", {"weights": model.state_dict(), "step": 0})
    export(checkpoint, folder / "bundle", "float32")
    return OnnxEngine(Bundle.load(folder / "bundle")), NumpyLSTM(model)


def some_hidden(count: int, width: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, width)).astype(np.float32)


def test_log_probabilities_are_those_of_the_softmax(exported: Exported) -> None:
    engine = exported.engine()
    hidden = some_hidden(9, engine.embedding_size)
    expected = exported.numpy.log_distribution(hidden.astype(np.float64))
    assert np.abs(engine.log_distribution(hidden) - expected).max() < 1e-5
    targets = np.arange(9, dtype=np.int64) * 5
    logprobs = engine.decode(hidden, targets, details=False, top=0).logprobs
    assert np.abs(logprobs - expected[np.arange(9), targets]).max() < 1e-5


def test_ranks_order_by_probability_then_id(
    with_ties: tuple[OnnxEngine, NumpyLSTM],
) -> None:
    engine, numpy = with_ties
    hidden = some_hidden(12)
    rows = numpy.log_distribution(hidden.astype(np.float64))
    order = [sorted(range(V), key=lambda word: (-row[word], word)) for row in rows.tolist()]
    untied = np.delete(rows, TIED_WORDS[1:], axis=1)
    assert np.diff(np.sort(untied, axis=1)).min() > 1e-6  # no pair is close enough to swap
    for word in range(V):
        targets = np.full(12, word, np.int64)
        found = engine.decode(hidden, targets, details=True, top=V)
        assert found.ranks is not None
        assert found.top_ids is not None
        assert found.ranks.tolist() == [1 + line.index(word) for line in order]
        assert found.top_ids.tolist() == order
    for row in order:
        at = row.index(TIED_WORDS[0])
        assert row[at : at + 4] == TIED_WORDS


@pytest.mark.parametrize("top", [1, 3, V])
def test_top_words_come_with_their_log_probabilities(two_layers: Exported, top: int) -> None:
    engine, hidden = two_layers.engine(), some_hidden(5)
    found = engine.decode(hidden, np.zeros(5, np.int64), details=False, top=top)
    expected = np.sort(two_layers.numpy.log_distribution(hidden.astype(np.float64)))[:, ::-1]
    assert found.top_logprobs is not None
    assert found.top_logprobs.shape == (5, top)
    assert np.abs(found.top_logprobs - expected[:, :top]).max() < 1e-5


def test_entropies_are_those_of_the_full_distribution(two_layers: Exported) -> None:
    engine, hidden = two_layers.engine(), some_hidden(20)
    found = engine.decode(hidden, np.zeros(20, np.int64), details=True, top=0).entropies
    rows = two_layers.numpy.log_distribution(hidden.astype(np.float64))
    expected = -(np.exp(rows) * rows).sum(axis=1)
    assert found is not None
    assert np.abs(found - expected).max() < 1e-5
    assert (expected < np.log(V)).all()


def test_only_what_is_asked_for_is_answered(two_layers: Exported) -> None:
    engine, hidden = two_layers.engine(), some_hidden(3)
    targets = np.array([1, 2, 3])
    bare = engine.decode(hidden, targets, details=False, top=0)
    assert (bare.ranks, bare.entropies, bare.top_ids, bare.top_logprobs) == (None,) * 4
    full = engine.decode(hidden, targets, details=True, top=2)
    assert np.array_equal(full.logprobs, bare.logprobs)
    assert full.ranks is not None
    assert full.ranks.dtype == np.int64


def test_blocks_of_rows_do_not_show(two_layers: Exported) -> None:
    engine, hidden = two_layers.engine(), some_hidden(11)
    targets = np.arange(11, dtype=np.int64)
    whole = engine.decode(hidden, targets, details=True, top=4)
    engine.block_rows = 3
    pieces = engine.decode(hidden, targets, details=True, top=4)
    assert np.abs(whole.logprobs - pieces.logprobs).max() < 1e-6
    assert np.array_equal(whole.ranks, pieces.ranks)  # type: ignore[arg-type]  # both were requested
    assert np.array_equal(whole.top_ids, pieces.top_ids)  # type: ignore[arg-type]  # as above


def test_certain_words_have_log_probability_zero(tmp_path: Path) -> None:
    config = ModelConfig(embedding_size=8, hidden_size=8, layers=1)
    checkpoint, model = write_checkpoint(tmp_path / "checkpoint", config, V)
    with torch.no_grad():
        model.output_bias[9] = 1e4
    Checkpoint(checkpoint).save("model.pt", {"weights": model.state_dict(), "step": 0})
    export(checkpoint, tmp_path / "bundle", "float32")
    engine = OnnxEngine(Bundle.load(tmp_path / "bundle"))
    found = engine.decode(some_hidden(2), np.array([9, 8]), details=True, top=2)
    assert found.logprobs[0] == 0
    assert found.logprobs[1] == pytest.approx(-1e4, rel=0.01)
    assert found.entropies is not None
    assert found.entropies.tolist() == [0, 0]
