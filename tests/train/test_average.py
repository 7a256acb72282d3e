import copy
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import Parameter

from train.average import Average
from train.config import AverageConfig

Kind = Literal["none", "ema", "nt-asgd"]


def weights(seed: int) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    random = np.random.default_rng(seed)
    return [random.normal(size=(3, 2)), random.normal(size=4)]


class Toy:
    """Parameters that have the values `weights(n)` at step n."""

    def __init__(self, kind: Kind, **config: Any) -> None:
        self.parameters = [Parameter(torch.from_numpy(w).float()) for w in weights(0)]
        self.average = Average(self.parameters, AverageConfig(kind=kind, **config))
        self.step = 0

    def go(self, steps: int) -> None:
        for _ in range(steps):
            self.step += 1
            for parameter, new in zip(self.parameters, weights(self.step), strict=True):
                parameter.data.copy_(torch.from_numpy(new))
            self.average.update()

    def hold(self, expected: list[np.ndarray[Any, np.dtype[np.float64]]]) -> None:
        for parameter, wanted in zip(self.parameters, expected, strict=True):
            np.testing.assert_allclose(parameter.detach().numpy(), wanted, atol=1e-6)

    def averages_to(self, expected: list[np.ndarray[Any, np.dtype[np.float64]]]) -> None:
        """Return the weights inside `applied`, and check that they are restored after it."""
        with self.average.applied():
            self.hold(expected)
        self.hold(weights(self.step))


def ema(steps: int, decay: float) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    averages = weights(0)
    for n in range(1, steps + 1):
        d = min(decay, (1 + n) / (10 + n))
        averages = [d * a + (1 - d) * w for a, w in zip(averages, weights(n), strict=True)]
    return averages


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_an_exponential_average_is_the_formulas(decay: float) -> None:
    toy = Toy("ema", decay=decay)
    toy.averages_to(weights(0))
    for _ in range(5):
        toy.go(3)
        toy.averages_to(ema(toy.step, decay))


def test_no_average_is_the_weights_themselves() -> None:
    toy = Toy("none")
    toy.go(3)
    toy.average.add_validation(5.0)
    toy.averages_to(weights(3))


def triggers_at(perplexities: list[float], patience: int) -> int | None:
    """Algorithm 1 of Merity et al. 2017 as printed; logs[t] is the perplexity of validation t."""
    logs: list[float] = []
    for t, v in enumerate(perplexities):
        if t > patience and v > min(logs[m] for m in range(t - patience)):
            return t
        logs.append(v)
    return None


@given(perplexities=st.lists(st.integers(1, 6).map(float), max_size=12), patience=st.integers(1, 4))
def test_averaging_is_triggered_by_the_papers_rule(
    perplexities: list[float], patience: int
) -> None:
    toy = Toy("nt-asgd", patience=patience)
    triggered = None
    for t, perplexity in enumerate(perplexities):
        toy.average.add_validation(perplexity)
        if triggered is None and toy.average.state_dict()["weights"] is not None:
            triggered = t
    assert triggered == triggers_at(perplexities, patience)


def test_once_triggered_it_is_the_arithmetic_mean_since() -> None:
    toy = Toy("nt-asgd", patience=1)
    for perplexity in (5.0, 4.0, 6.0):
        toy.go(2)
        toy.averages_to(weights(toy.step))
        toy.average.add_validation(perplexity)
    assert triggers_at([5.0, 4.0, 6.0], 1) == 2
    toy.averages_to(weights(6))
    toy.go(5)
    since = [weights(step) for step in range(7, 12)]
    mean = [np.mean(parts, 0) for parts in zip(*since, strict=True)]
    toy.averages_to(mean)
    toy.average.add_validation(1.0)  # later validations do not restart it
    toy.average.add_validation(9.0)
    toy.averages_to(mean)


def test_the_weights_are_restored_after_an_error() -> None:
    toy = Toy("ema")
    toy.go(2)
    with pytest.raises(KeyboardInterrupt), toy.average.applied():
        raise KeyboardInterrupt
    toy.hold(weights(2))
    toy.averages_to(ema(2, 0.999))


def test_optimiser_continues_with_its_own_weights() -> None:
    toy = Toy("ema")
    optimizer = torch.optim.SGD(toy.parameters, lr=1.0)
    toy.go(2)
    with toy.average.applied():
        pass
    for parameter in toy.parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    toy.hold([w - 1 for w in weights(2)])


@pytest.mark.parametrize("kind", ["none", "ema", "nt-asgd"])
@pytest.mark.parametrize("stop", [1, 4, 7])
def test_saved_average_resumes_unchanged(kind: Kind, stop: int) -> None:
    perplexities = [5.0, 4.0, 6.0, 5.0, 9.0, 2.0, 3.0, 7.0, 8.0]
    whole, stopped, again = (Toy(kind, patience=1) for _ in range(3))
    for toy, end in ((whole, 9), (stopped, stop)):
        for perplexity in perplexities[:end]:
            toy.go(2)
            toy.average.add_validation(perplexity)
    again.average.load_state_dict(copy.deepcopy(stopped.average.state_dict()))
    again.step = stopped.step
    for perplexity in perplexities[stop:]:
        again.go(2)
        again.average.add_validation(perplexity)
    with whole.average.applied(), again.average.applied():
        for found, wanted in zip(again.parameters, whole.parameters, strict=True):
            assert found.equal(wanted)
