"""Tests of dropout on arrays of ones: a dropped value is 0, a kept value 1 / (1 − p)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from train.config import ModelConfig
from train.model.dropout import embedding_dropout, locked_dropout, plain_dropout, weight_dropout
from train.model.lstm import TiedLSTM

V = 13
OFF = {"dropout_input": 0.0, "dropout_hidden": 0.0, "dropout_output": 0.0}
SMALL = ModelConfig(embedding_size=6, hidden_size=9, layers=2).model_copy(update=OFF)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def make(**config: float | bool) -> TiedLSTM:
    return TiedLSTM(SMALL.model_copy(update=config), V).train()


def share_kept(values: Tensor) -> float:
    return (values != 0).float().mean().item()


@settings(max_examples=20, deadline=None)
@given(probability=st.sampled_from([0.1, 0.25, 0.5, 0.8]), steps=st.integers(1, 6))
def test_locked_mask_is_constant_over_time(probability: float, steps: int) -> None:
    out = locked_dropout(torch.ones(steps, 40, 50), probability)
    assert out.equal(out[:1].expand_as(out))
    kept = torch.tensor(1 / (1 - probability))
    assert ((out == 0) | torch.isclose(out, kept)).all()
    assert share_kept(out[0]) == pytest.approx(1 - probability, abs=0.06)
    assert not any(out[0, i].equal(out[0, i + 1]) for i in range(39))


def test_a_plain_mask_differs_over_time() -> None:
    out = plain_dropout(torch.ones(6, 40, 50), 0.5)
    assert share_kept(out) == pytest.approx(0.5, abs=0.03)
    assert not any(out[t].equal(out[t + 1]) for t in range(5))


def test_gradient_passes_the_same_mask() -> None:
    x = torch.ones(3, 4, 5, requires_grad=True)
    out = locked_dropout(x, 0.5)
    torch.autograd.backward(out.sum())
    assert x.grad is not None
    assert x.grad.equal(out)


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("place", ["dropout_output", "dropout_input"])
def test_model_uses_the_configured_dropout(locked: bool, place: str) -> None:
    model = make(locked_dropout=locked, **{place: 0.5})
    seen: list[Tensor] = []
    if place == "dropout_output":
        seen.append(model.drop_output(torch.ones(5, 8, 6)))
    else:
        torch.nn.init.ones_(model.embedding.weight)
        lstm = torch.lstm

        def record(*arguments: Tensor, **rest: Tensor) -> object:
            seen.append(arguments[0])
            return lstm(*arguments, **rest)  # type: ignore[call-overload]  # the arguments of torch.lstm

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "lstm", record)
            model(torch.zeros(5, 8, dtype=torch.int64), model.zero_state(8))
    same = [seen[0][t].equal(seen[0][0]) for t in range(1, 5)]
    assert all(same) if locked else not any(same)
    assert set(seen[0].flatten().tolist()) == {0.0, 2.0}


def test_dropped_word_is_zero_in_the_whole_batch() -> None:
    matrix = torch.rand(200, 4) + 1
    ids = torch.randint(0, 200, (30, 40))
    probability = 0.3
    out = embedding_dropout(matrix, ids, probability)
    dropped = (out == 0).all(-1)
    words = set(ids[dropped].tolist())
    assert dropped.tolist() == [[word in words for word in row] for row in ids.tolist()]
    torch.testing.assert_close(out[~dropped], matrix[ids[~dropped]] / (1 - probability))
    assert len(words) / 200 == pytest.approx(probability, abs=0.13)
    assert not embedding_dropout(matrix, ids, probability).equal(out)


def test_a_dropped_word_learns_nothing_as_input() -> None:
    matrix = torch.rand(20, 4, requires_grad=True)
    ids = torch.arange(20)[:, None]
    out = embedding_dropout(matrix, ids, 0.5)
    torch.autograd.backward(out.sum())
    assert matrix.grad is not None
    dropped = (out == 0).all(-1).flatten()
    assert 0 < dropped.sum() < 20
    assert matrix.grad.equal(torch.where(dropped, 0.0, 2.0)[:, None].expand(20, 4))


def test_softmax_keeps_dropped_words() -> None:
    model = make(dropout_embedding=0.9)
    hidden, _ = model(torch.zeros(2, 2, dtype=torch.int64), model.zero_state(2))
    matrix, bias = model.output_matrix.detach(), model.output_bias.detach()
    assert (matrix != 0).any(-1).all()
    assert torch.allclose(model.logits(hidden), hidden @ matrix.T + bias)


def recurrent_of(model: TiedLSTM) -> list[Tensor]:
    return [layer.all_weights[0][1].detach() for layer in model.lstm_layers()]


@torch.no_grad()
def naive_lstm(model: TiedLSTM, ids: Tensor, recurrent: list[Tensor]) -> Tensor:
    """Return hidden vectors (T, B, D) by the equations, step by step, with other recurrent weights.

    i, f, g, o = W x + b + U h + b';  c ← σ(f) c + σ(i) tanh(g);  h = σ(o) tanh(c)
    """
    inputs = [model.embedding.weight[row] for row in ids]
    for layer, matrix in zip(model.lstm_layers(), recurrent, strict=True):
        of_inputs, _, *biases = layer.all_weights[0]
        h = c = torch.zeros(ids.shape[1], matrix.shape[1])
        outputs = []
        for x in inputs:
            gates = x @ of_inputs.t() + h @ matrix.t() + biases[0] + biases[1]
            i, f, g, o = gates.chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        inputs = outputs
    return torch.stack(inputs)


def test_weight_drop_masks_recurrent_matrices() -> None:
    """The same weights are dropped at all steps: compared with a loop by the equations."""
    model = make(dropout_weight=0.4)
    ids = torch.randint(0, V, (7, 3))
    hidden, _ = model(ids, model.zero_state(3), Generator().manual_seed(5))
    masks = Generator().manual_seed(5)
    whole = recurrent_of(model)
    recurrent = [weight_dropout(matrix, 0.4, masks) for matrix in whole]
    for matrix, dropped in zip(whole, recurrent, strict=True):
        zero = dropped == 0
        assert zero.float().mean().item() == pytest.approx(0.4, abs=0.12)
        torch.testing.assert_close(dropped[~zero], matrix[~zero] / 0.6)
    torch.testing.assert_close(hidden.detach(), naive_lstm(model, ids, recurrent))
    assert not torch.allclose(hidden, naive_lstm(model, ids, whole), atol=1e-4)
    evaluated, _ = model.eval()(ids, model.zero_state(3), Generator().manual_seed(5))
    torch.testing.assert_close(evaluated.detach(), naive_lstm(model, ids, whole))


def test_dropped_recurrent_weights_get_no_gradient() -> None:
    model = make(dropout_weight=0.5)
    hidden, _ = model(torch.randint(0, V, (5, 3)), model.zero_state(3), Generator().manual_seed(1))
    torch.autograd.backward(hidden.pow(2).sum())
    masks = Generator().manual_seed(1)
    for layer in model.lstm_layers():
        matrix = layer.all_weights[0][1]
        kept = weight_dropout(torch.ones_like(matrix), 0.5, masks) != 0
        assert matrix.grad is not None
        assert matrix.grad.ne(0).equal(kept)


def test_weight_masks_come_from_the_shared_generator() -> None:
    """The state of torch's own generator, which differs between processes, has no effect."""
    model = make(dropout_weight=0.5)
    ids, state = torch.randint(0, V, (4, 2)), model.zero_state(2)
    found = []
    for own, shared in ((1, 7), (2, 7), (2, 8)):
        torch.manual_seed(own)
        found.append(model(ids, state, Generator().manual_seed(shared))[0])
    assert found[0].equal(found[1])
    assert not found[1].equal(found[2])
