"""Tests of each added loss against the formula of its paper, with all logits in memory."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from train.config import LossConfig, ModelConfig, TeacherConfig
from train.model.lstm import TiedLSTM
from train.model.objective import Objective
from train.model.teacher import TeacherOutput

V, D, T, B = 11, 6, 5, 3
OFF = {"dropout_input": 0.0, "dropout_hidden": 0.0, "dropout_output": 0.0}


def make(tied: bool = True, dropout_output: float = 0.0, **config: Any) -> Objective:
    sizes = ModelConfig(embedding_size=D, hidden_size=9, layers=2, tied=tied)
    model = TiedLSTM(sizes.model_copy(update={**OFF, "dropout_output": dropout_output}), V)
    objective = Objective(model, LossConfig(**config)).train()
    torch.manual_seed(0)
    for parameter in objective.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return objective


def some_ids(seed: int) -> Tensor:
    return torch.randint(0, V, (T, B), generator=torch.Generator().manual_seed(seed))


INPUTS, TARGETS = some_ids(1), some_ids(2)


def hidden_of(objective: Objective) -> Tensor:
    """Return the hidden vectors (T, B, D) before the output's dropout."""
    hidden: Tensor = objective.model(INPUTS, objective.model.zero_state(B))[0]
    return hidden


def losses(
    objective: Objective, teacher_output: TeacherOutput | None = None
) -> tuple[Tensor, Tensor]:
    state = objective.model.zero_state(B)
    loss, cross_entropy, _ = objective(INPUTS, TARGETS, state, teacher_output)
    return loss, cross_entropy


def plain_cross_entropy(objective: Objective) -> Tensor:
    logits = objective.model.logits(hidden_of(objective))
    return functional.cross_entropy(logits.flatten(0, 1), TARGETS.flatten())


def some_output(seed: int = 0) -> TeacherOutput:
    generator = torch.Generator().manual_seed(seed)
    sizes = ((T * B, 4), (V, 4), (V,))
    return TeacherOutput(*(torch.randn(size, generator=generator) for size in sizes))


def teaching(weight: float, temperature: float = 1.0) -> TeacherConfig:
    return TeacherConfig(checkpoint="none", weight=weight, temperature=temperature)


def same_gradients(loss: Tensor, expected: Tensor, objective: Objective) -> None:
    parameters = list(objective.parameters())
    found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    wanted = torch.autograd.grad(expected, parameters, allow_unused=True, materialize_grads=True)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


def activation(objective: Objective) -> Tensor:
    """Return AR: the mean of h², here without dropout."""
    total = sum(x * x for x in hidden_of(objective).flatten())
    return plain_cross_entropy(objective) + 2.0 * torch.as_tensor(total) / (T * B * D)


def temporal_activation(objective: Objective) -> Tensor:
    """Return TAR: the mean of (h_t − h_{t+1})²."""
    hidden = hidden_of(objective)
    total = sum(((hidden[t] - hidden[t + 1]) ** 2).sum() for t in range(T - 1))
    return plain_cross_entropy(objective) + 3.0 * torch.as_tensor(total) / ((T - 1) * B * D)


def past_decode(objective: Objective) -> Tensor:
    """Return PDR: −log of the last input word, decoded from the mean embedding of the next."""
    model, past = objective.model, objective.past
    matrix, total = model.output_matrix, torch.zeros(())
    for t in range(T):
        for b in range(B):
            q = functional.softmax(matrix @ hidden_of(objective)[t, b] + model.output_bias, 0)
            mean = sum(q[word] * matrix[word] for word in range(V))
            r = torch.tanh(past.map.weight @ mean + past.map.bias)
            logits = matrix @ r + past.bias
            total = total - functional.log_softmax(logits, 0)[INPUTS[t, b]]
    return plain_cross_entropy(objective) + 0.5 * total / (T * B)


def label_smoothing(objective: Objective) -> Tensor:
    logits = objective.model.logits(hidden_of(objective)).flatten(0, 1)
    return functional.cross_entropy(logits, TARGETS.flatten(), label_smoothing=0.3)


ADDED: list[tuple[dict[str, Any], Callable[[Objective], Tensor]]] = [
    ({}, plain_cross_entropy),
    ({"activation": 2.0}, activation),
    ({"temporal_activation": 3.0}, temporal_activation),
    ({"past_decode": 0.5}, past_decode),
    ({"label_smoothing": 0.3}, label_smoothing),
]


@pytest.mark.parametrize(("config", "formula"), ADDED, ids=["-".join(c) for c, _ in ADDED])
@pytest.mark.parametrize("tied", [True, False])
def test_loss_equals_its_formula(
    config: dict[str, Any], formula: Callable[[Objective], Tensor], tied: bool
) -> None:
    objective = make(tied, **config)
    loss, cross_entropy = losses(objective)
    expected = formula(objective)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(cross_entropy, plain_cross_entropy(objective).detach())
    assert not cross_entropy.requires_grad
    assert tied == (len(list(objective.model.parameters())) == 10)
    same_gradients(loss, expected, objective)


def test_activation_terms_use_the_right_values() -> None:
    """Merity et al. 2017: α |m ⊙ h|², β |h_t − h_{t+1}|²."""
    values = {}
    for name in ("activation", "temporal_activation"):
        config: dict[str, Any] = {name: 1.0}
        objective = make(dropout_output=0.5, **config)
        torch.manual_seed(7)
        loss, cross_entropy = losses(objective)
        values[name] = (loss - cross_entropy).item()
    torch.manual_seed(7)
    raw = hidden_of(objective)
    dropped = objective.model.drop_output(raw)
    assert values["activation"] == pytest.approx(dropped.pow(2).mean().item(), rel=1e-4)
    assert values["temporal_activation"] == pytest.approx(
        (raw[1:] - raw[:-1]).pow(2).mean().item(), rel=1e-4
    )


def test_one_token_has_no_temporal_activation() -> None:
    objective = make(temporal_activation=3.0)
    loss, cross_entropy, _ = objective(INPUTS[:1], TARGETS[:1], objective.model.zero_state(B))
    assert loss.item() == cross_entropy.item()


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("weight", [0.4, 1.0])
def test_distillation_mixes_sparse_and_dense_losses(weight: float, temperature: float) -> None:
    objective, teacher_output = make(teacher=teaching(weight, temperature)), some_output()
    loss, cross_entropy = losses(objective, teacher_output)
    logits = objective.model.logits(hidden_of(objective)).flatten(0, 1)
    dense = torch.zeros(())
    teachers = teacher_output.hidden @ teacher_output.matrix.t() + teacher_output.bias
    for row, teacher in zip(logits, teachers, strict=True):
        powers = (teacher / temperature).exp()
        own = (row / temperature).exp()
        dense = dense - (powers / powers.sum() * (own / own.sum()).log()).sum()
    dense = dense / (T * B) * temperature**2
    expected = (1 - weight) * plain_cross_entropy(objective) + weight * dense
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(cross_entropy, plain_cross_entropy(objective).detach())
    same_gradients(loss, expected, objective)


def test_who_equals_the_teacher_has_nothing_to_learn() -> None:
    objective = make(teacher=teaching(1.0))
    model = objective.model
    own = TeacherOutput(hidden_of(objective).flatten(0, 1), model.output_matrix, model.output_bias)
    teacher_output = TeacherOutput(*(part.detach().clone() for part in own))
    gradients = torch.autograd.grad(losses(objective, teacher_output)[0], list(model.parameters()))
    assert max(gradient.abs().max().item() for gradient in gradients) < 1e-6
    other = torch.autograd.grad(losses(objective, some_output())[0], list(model.parameters()))
    assert min(gradient.abs().max().item() for gradient in other) > 1e-4


def test_losses_add_up() -> None:
    alone = losses(make(activation=0.3)), losses(make(past_decode=0.3))
    together, cross_entropy = losses(make(activation=0.3, past_decode=0.3))
    added = sum((loss - cross_entropy).item() for loss, _ in alone)
    assert (together - cross_entropy).item() == pytest.approx(added, rel=1e-4)


@pytest.mark.parametrize("block", [1, 4, 100])
def test_blocks_make_no_difference_and_bound_the_logits(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    config: dict[str, Any] = {
        "past_decode": 0.5,
        "label_smoothing": 0.1,
        "teacher": teaching(0.5, 2.0),
    }
    objective, teacher_output = make(**config), some_output()
    expected, cross_entropy = losses(objective, teacher_output)
    parameters = list(objective.parameters())
    wanted = torch.autograd.grad(expected, parameters)
    monkeypatch.setattr("train.model.objective.block_rows", lambda _: block)
    sizes: list[int] = []
    logits = TiedLSTM.logits

    def record(self: TiedLSTM, rows: Tensor) -> Tensor:
        sizes.append(len(rows))
        return logits(self, rows)

    monkeypatch.setattr(TiedLSTM, "logits", record)
    loss, found = losses(objective, teacher_output)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(found, cross_entropy)
    gradients = torch.autograd.grad(loss, parameters)
    torch.testing.assert_close(gradients, wanted, atol=1e-6, rtol=1e-4)
    assert max(sizes) == min(block, T * B)  # in the backward pass, too


def test_bfloat16_is_close_in_every_form() -> None:
    everything: dict[str, Any] = {"past_decode": 0.5, "activation": 2.0, "temporal_activation": 1.0}
    for whole in (make(), make(**everything)):
        narrow = Objective(whole.model, whole.config, torch.bfloat16)
        narrow.load_state_dict(whole.state_dict())
        for found, wanted in zip(losses(narrow), losses(whole), strict=True):
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, wanted, atol=0.03, rtol=0.01)


def test_past_decoder_is_outside_the_model() -> None:
    objective = make(past_decode=1.0)
    assert not [name for name in objective.model.state_dict() if "past" in name]
    assert [name for name in objective.state_dict() if "past" in name] == [
        *("past.bias", "past.map.weight", "past.map.bias")
    ]
