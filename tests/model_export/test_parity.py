from typing import cast

import numpy as np
import pytest
import torch

from model_export.errors import ExportError
from model_export.parity import check_parity
from service.arrays import Floats, Ids
from service.inference.engine import Decoded, OnnxEngine
from tests.support.numpy_lstm import Exported


class Wrong:
    """An engine that returns changed states or scores."""

    def __init__(
        self,
        engine: OnnxEngine,
        state: float = 0.0,
        logprob: float = 0.0,
        distribution: float = 0.0,
    ) -> None:
        self._engine, self._state, self._logprob = engine, state, logprob
        self._distribution = distribution
        self.state_size, self.vocabulary_size = engine.state_size, engine.vocabulary_size

    def encode(self, ids: Ids, lengths: np.ndarray, state: Floats) -> tuple[Floats, Floats]:
        hidden, new_state = self._engine.encode(ids, lengths, state)
        new_state[-1, -1] += self._state
        return hidden, new_state

    def decode(self, hidden: Floats, targets: Ids, details: bool, top: int) -> Decoded:
        decoded = self._engine.decode(hidden, targets, details, top)
        decoded.logprobs[-1] += self._logprob
        return decoded

    def log_distribution(self, hidden: Floats) -> Floats:
        rows = self._engine.log_distribution(hidden)
        rows[-1, -1] += self._distribution
        return rows


def wrong(exported: Exported, **off: float) -> OnnxEngine:
    return cast(OnnxEngine, Wrong(exported.engine(), **off))


def test_honest_graphs_pass_with_their_figures(exported: Exported) -> None:
    figures = check_parity(exported.model, exported.engine())
    assert 0 <= figures.mean_abs_logprob_difference <= figures.max_abs_logprob_difference
    for name in ("max_abs_logprob_difference", "max_abs_state_difference"):
        assert getattr(figures, name) < 2e-5
        assert getattr(figures, name) < 16 * getattr(figures, f"torch_{name}")


def test_every_single_tensor_is_guarded(exported: Exported) -> None:
    """An error of 1 % in any single tensor fails the check."""
    engine = exported.engine()
    saved = {name: value.clone() for name, value in exported.model.state_dict().items()}
    for name, parameter in exported.model.named_parameters():
        with torch.no_grad():
            parameter.mul_(1.01)
        with pytest.raises(ExportError, match="differ from the checkpoint"):
            check_parity(exported.model, engine)
        exported.model.load_state_dict({**exported.model.state_dict(), name: saved[name]})
    check_parity(exported.model, engine)


@pytest.mark.parametrize("off", [2e-4, -2e-4, float("nan"), float("inf")])
def test_one_wrong_score_of_many_is_caught(two_layers: Exported, off: float) -> None:
    check_parity(two_layers.model, wrong(two_layers))
    with pytest.raises(ExportError, match="no bundle was written"):
        check_parity(two_layers.model, wrong(two_layers, logprob=off))


@pytest.mark.parametrize("off", [2e-4, -2e-4, float("nan"), float("inf")])
def test_one_wrong_state_of_many_is_caught(two_layers: Exported, off: float) -> None:
    with pytest.raises(ExportError, match="no bundle was written"):
        check_parity(two_layers.model, wrong(two_layers, state=off))


@pytest.mark.parametrize("off", [2e-4, -2e-4, float("nan"), float("inf")])
def test_one_wrong_word_of_a_distribution_is_caught(two_layers: Exported, off: float) -> None:
    with pytest.raises(ExportError, match="in the distributions after the end"):
        check_parity(two_layers.model, wrong(two_layers, distribution=off))


def test_the_figures_are_the_largest_and_the_mean(two_layers: Exported) -> None:
    """Seven batches of 448 tokens; the last token of each is off by 2e-6."""
    exact = check_parity(two_layers.model, two_layers.engine())
    figures = check_parity(two_layers.model, wrong(two_layers, state=1e-6, logprob=2e-6))
    noise = exact.max_abs_logprob_difference
    assert figures.max_abs_logprob_difference == pytest.approx(2e-6, abs=noise)
    added = figures.mean_abs_logprob_difference - exact.mean_abs_logprob_difference
    assert added == pytest.approx(7 * 2e-6 / 448, rel=0.3)
    state_noise = exact.max_abs_state_difference
    assert figures.max_abs_state_difference == pytest.approx(1e-6, abs=state_noise)


def test_a_small_error_of_every_score_is_caught(two_layers: Exported) -> None:
    """Each error is within its limit, but their mean is larger than that of rounding."""

    class Shifted(Wrong):
        def decode(self, hidden: Floats, targets: Ids, details: bool, top: int) -> Decoded:
            decoded = super().decode(hidden, targets, details, top)
            if len(targets) > 200:
                decoded.logprobs += np.float32(3e-6)
            return decoded

    with pytest.raises(ExportError, match=r"in the log-probabilities .*\(their mean; largest"):
        check_parity(two_layers.model, cast(OnnxEngine, Shifted(two_layers.engine())))
