import math
from dataclasses import asdict

import numpy as np
import pytest

from model_export.errors import ExportError
from model_export.fidelity import Fidelity, compare
from tests.support.numpy_lstm import Doubles, Exported
from train.config import ModelConfig

END = 1


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Export a model of the shape of `two_layers` with other weights."""
    config = ModelConfig(embedding_size=8, hidden_size=12, layers=2)
    return Exported(tmp_path_factory.mktemp("other"), config, seed=1)


def distributions(exported: Exported, streams: list[list[int]]) -> Doubles:
    """Return every word's log-probability at every token (N, V), each stream after `<eos>`."""
    rows = []
    for stream in streams:
        inputs = np.array([END, *stream[:-1]])
        hidden, _ = exported.numpy.run(inputs, np.zeros(exported.engine().state_size))
        rows.append(exported.numpy.log_distribution(hidden))
    return np.concatenate(rows)


@pytest.mark.parametrize(("count", "streams"), [(5, 5), (16, 16), (16 * 37 + 9, 16)])
def test_figures_are_those_of_an_independent_comparison(
    two_layers: Exported, other: Exported, count: int, streams: int
) -> None:
    ids = np.random.default_rng(0).integers(0, 50, count).astype(np.int32)
    figures = compare(two_layers.engine(), other.engine(), ids, END)
    length = count // streams
    texts = [ids[i * length : (i + 1) * length].tolist() for i in range(streams)]
    targets = [word for text in texts for word in text]
    p, q = (distributions(model, texts) for model in (two_layers, other))
    of_p, of_q = (rows[np.arange(len(targets)), targets] for rows in (p, q))
    assert asdict(figures) == {
        "tokens": streams * length,
        "perplexity_float32": pytest.approx(math.exp(-of_p.mean()), rel=1e-4),
        "perplexity_int8": pytest.approx(math.exp(-of_q.mean()), rel=1e-4),
        "mean_abs_logprob_difference": pytest.approx(np.abs(of_p - of_q).mean(), rel=1e-4),
        "max_abs_logprob_difference": pytest.approx(np.abs(of_p - of_q).max(), rel=1e-4),
        "mean_kl_divergence": pytest.approx((np.exp(p) * (p - q)).sum(axis=1).mean(), rel=1e-4),
        "top_1_agreement": pytest.approx((p.argmax(axis=1) == q.argmax(axis=1)).mean()),
    }


def test_an_engine_is_equal_to_itself(two_layers: Exported) -> None:
    ids = np.random.default_rng(0).integers(0, 50, 100).astype(np.int32)
    figures = compare(two_layers.engine(), two_layers.engine(), ids, END)
    assert figures.perplexity_float32 == figures.perplexity_int8
    assert figures.mean_kl_divergence == figures.max_abs_logprob_difference == 0
    assert figures.top_1_agreement == 1


def fidelity(float32: float, int8: float, divergence: float) -> Fidelity:
    """Return figures with these perplexities and divergence, and no other difference."""
    return Fidelity(float32, int8, 0.0, 0.0, divergence, 1.0, 100)


@pytest.mark.parametrize(
    ("before", "after", "passes"),
    [
        (100.0, 100.0, True),
        (100.0, 100.49, True),
        (100.0, 90.0, True),
        (100.0, 100.51, False),
        (100.0, math.inf, False),
        (100.0, math.nan, False),
    ],
)
def test_half_a_percent_of_perplexity_is_the_bound(
    before: float, after: float, passes: bool
) -> None:
    figures = fidelity(before, after, 0.0)
    if passes:
        figures.check()
    else:
        with pytest.raises(ExportError, match=r"more than 0\.5%; no bundle was written"):
            figures.check()


@pytest.mark.parametrize(
    ("divergence", "passes"), [(0.019, True), (0.021, False), (math.inf, False), (math.nan, False)]
)
def test_other_distributions_fail_at_a_lower_perplexity(divergence: float, passes: bool) -> None:
    figures = fidelity(9.0, 8.0, divergence)
    if passes:
        figures.check()
    else:
        with pytest.raises(ExportError, match=r"KL divergence of \S+ nats.*no bundle was written"):
            figures.check()
