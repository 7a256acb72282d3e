import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.config import LossConfig, ModelConfig, TrainConfig
from train.model.lstm import TiedLSTM
from train.model.objective import Objective
from train.optimizer import learning_rate, make_optimizer


def objective() -> Objective:
    model = TiedLSTM(ModelConfig(embedding_size=5, hidden_size=7), 11)
    return Objective(model, LossConfig(past_decode=1.0))


def test_adamw_decays_matrices_alone() -> None:
    network = objective()
    config = TrainConfig(weight_decay=0.5, learning_rate=0.25)
    optimizer = make_optimizer(network.parameters(), config)
    assert isinstance(optimizer, torch.optim.AdamW)
    decayed, free = optimizer.param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.5, 0.0)
    assert decayed["lr"] == free["lr"] == 0.25
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    assert {names[id(p)] for p in free["params"]} == {n for n in names.values() if "bias" in n}
    assert len(decayed["params"]) + len(free["params"]) == len(names)


def test_sgd_takes_a_plain_step_and_decays_everything() -> None:
    network = objective()
    config = TrainConfig(optimizer="sgd", weight_decay=0.5, learning_rate=0.25)
    optimizer = make_optimizer(network.parameters(), config)
    assert isinstance(optimizer, torch.optim.SGD)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    for _ in range(2):  # momentum would change the second step
        for parameter in network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        before = [w - 0.25 * (1 + 0.5 * w) for w in before]
    for parameter, expected in zip(network.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.detach(), expected)


def test_one_step_of_adamw_is_the_formulas() -> None:
    """After one step m̂ / √v̂ is the sign of the gradient: w ← (1 − ηλ) w − η sign(g)."""
    network = objective()
    optimizer = make_optimizer(
        network.parameters(), TrainConfig(weight_decay=0.5, learning_rate=0.1)
    )
    before = [parameter.detach().clone() for parameter in network.parameters()]
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, -3.0)
    optimizer.step()
    for parameter, old in zip(network.parameters(), before, strict=True):
        decay = 0.5 if parameter.ndim == 2 else 0.0
        torch.testing.assert_close(parameter.detach(), (1 - 0.1 * decay) * old + 0.1)


def test_learning_rate_warms_up_then_decays() -> None:
    config = TrainConfig(learning_rate=0.8, warmup_steps=4, final_learning_rate_ratio=0.1)
    rates = [learning_rate(config, step, step / 10, 35) for step in range(12)]
    assert rates[5] == pytest.approx((0.8 + 0.08) / 2)
    assert rates[10] == rates[11] == pytest.approx(0.08)
    for step, rate in enumerate(rates[:11]):
        cosine = math.cos(math.radians(18 * step))
        assert rate == pytest.approx(min(1, (step + 1) / 4) * (0.44 + 0.36 * cosine))


def test_a_constant_rate_stays_after_its_warm_up() -> None:
    config = TrainConfig(learning_rate=0.8, warmup_steps=4, schedule="constant")
    rates = [learning_rate(config, step, step / 10, 35) for step in range(12)]
    assert rates == pytest.approx([0.2, 0.4, 0.6] + [0.8] * 9)


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_learning_rate_scales_with_step_length(schedule: str) -> None:
    config = TrainConfig(bptt_length=40).model_copy(update={"schedule": schedule})
    usual = learning_rate(config, 500, 0.3, 40)
    for length in (10, 40, 55):
        assert learning_rate(config, 500, 0.3, length) == pytest.approx(usual * length / 40)


@given(warmup=st.integers(0, 50), total=st.integers(60, 200), step=st.integers(0, 199))
def test_learning_rate_falls_within_its_bounds(warmup: int, total: int, step: int) -> None:
    config = TrainConfig(learning_rate=0.5, warmup_steps=warmup, final_learning_rate_ratio=0.2)
    now, after = (learning_rate(config, at, at / total, 35) for at in (step, step + 1))
    assert 0 < now <= 0.5
    if step >= warmup:
        assert 0.1 - 1e-12 <= after <= now + 1e-12
