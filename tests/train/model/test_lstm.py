import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.config import ModelConfig
from train.model.loss import sparse_cross_entropy
from train.model.lstm import State, TiedLSTM, detach_state, layer_sizes, mask_state, parameter_count

V = 11
TIED = ModelConfig(embedding_size=6, hidden_size=9, layers=2)
UNTIED = TIED.model_copy(update={"tied": False})


def forward(model: TiedLSTM, ids: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
    hidden, after = model(ids, state)
    return model.logits(hidden), after


def some_ids(steps: int, batch: int) -> torch.Tensor:
    return torch.randint(0, V, (steps, batch), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_parameters_are_those_of_the_formula(layers: int) -> None:
    d, h = 6, 9
    config = ModelConfig(embedding_size=d, hidden_size=h, layers=layers)
    # A layer of width w over inputs of width i: 4 gates of w rows, i + w wide, and two biases.
    widths = {1: [(d, d)], 2: [(d, h), (h, d)], 3: [(d, h), (h, h), (h, d)]}[layers]
    lstm = sum(4 * w * (i + w) + 8 * w for i, w in widths)
    assert layer_sizes(config) == widths
    assert parameter_count(TiedLSTM(config, V)) == V * d + V + lstm
    untied = TiedLSTM(config.model_copy(update={"tied": False}), V)
    assert parameter_count(untied) == V * d + V + lstm + V * d


def test_one_matrix_is_both_ends_when_tied() -> None:
    torch.manual_seed(0)
    model = TiedLSTM(TIED, V).eval()
    shapes = [tuple(p.shape) for p in model.parameters()]
    assert shapes.count((V, 6)) == 1
    ids = torch.tensor([[2], [3]])
    before, _ = forward(model, ids, model.zero_state(1))
    with torch.no_grad():
        model.embedding.weight[7] += 1.0  # a word that is not an input: only its own score changes
    after, _ = forward(model, ids, model.zero_state(1))
    moved = (before != after).any(0).any(0)
    assert moved.nonzero().flatten().tolist() == [7]
    with torch.no_grad():
        model.embedding.weight[2] += 1.0  # an input word: every score changes
    assert (forward(model, ids, model.zero_state(1))[0] != after).all()


def test_gradients_reach_the_matrix_from_both_ends() -> None:
    """The gradient of the tied matrix is the sum of the gradients of two untied matrices."""
    torch.manual_seed(0)
    tied, untied = TiedLSTM(TIED, V).eval(), TiedLSTM(UNTIED, V).eval()
    weights = {**copy.deepcopy(tied.state_dict())}
    weights["softmax_matrix"] = weights["embedding.weight"].clone()
    untied.load_state_dict(weights)
    for model in (tied, untied):
        logits, _ = forward(model, torch.tensor([[4], [5]]), model.zero_state(1))
        torch.autograd.backward(sparse_cross_entropy(logits, torch.tensor([[5], [1]])).sum())
    both, ends = tied.embedding.weight.grad, untied.embedding.weight.grad
    softmax_end = untied.softmax_matrix.grad
    assert both is not None
    assert ends is not None
    assert softmax_end is not None
    assert ends.abs().sum(1).nonzero().flatten().tolist() == [4, 5]
    assert (softmax_end.abs().sum(1) > 0).all()
    torch.testing.assert_close(both, ends + softmax_end)


@settings(max_examples=30, deadline=None)
@given(steps=st.integers(2, 12), cut=st.integers(1, 11), layers=st.integers(1, 3))
def test_state_carried_over_two_calls_equals_one_call(steps: int, cut: int, layers: int) -> None:
    torch.manual_seed(0)
    model = TiedLSTM(TIED.model_copy(update={"layers": layers}), V).eval()
    ids, cut = some_ids(steps, 3), min(cut, steps - 1)
    whole, end = forward(model, ids, model.zero_state(3))
    first, middle = forward(model, ids[:cut], model.zero_state(3))
    second, last = forward(model, ids[cut:], detach_state(middle))
    torch.testing.assert_close(torch.cat([first, second]), whole, atol=1e-6, rtol=1e-5)
    for expected, found in zip(end, last, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(second, forward(model, ids[cut:], model.zero_state(3))[0])


def test_sequences_of_a_batch_do_not_meet() -> None:
    torch.manual_seed(0)
    model = TiedLSTM(TIED, V).eval()
    ids = some_ids(5, 4)
    together, _ = forward(model, ids, model.zero_state(4))
    for index in range(4):
        alone, _ = forward(model, ids[:, index : index + 1], model.zero_state(1))
        torch.testing.assert_close(together[:, index], alone[:, 0], atol=1e-6, rtol=1e-5)


OFF = {"dropout_input": 0.0, "dropout_hidden": 0.0, "dropout_output": 0.0}
PLACES = ["embedding", "input", "hidden", "output", "weight"]


def seen_by_softmax(model: TiedLSTM, ids: torch.Tensor) -> torch.Tensor:
    hidden: torch.Tensor = model.drop_output(model(ids, model.zero_state(ids.shape[1]))[0])
    return hidden


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("locked", [True, False])
def test_dropout_acts_in_training_and_not_in_evaluation(place: str, locked: bool) -> None:
    change = {**OFF, "locked_dropout": locked, f"dropout_{place}": 0.5}
    model = TiedLSTM(TIED.model_copy(update=change), V)
    ids = some_ids(4, 2)
    assert not torch.equal(seen_by_softmax(model.train(), ids), seen_by_softmax(model, ids))
    evaluated = seen_by_softmax(model.eval(), ids)
    assert torch.equal(evaluated, seen_by_softmax(model, ids))
    without = TiedLSTM(TIED.model_copy(update=OFF), V)
    without.load_state_dict(model.state_dict())
    assert torch.equal(evaluated, seen_by_softmax(without, ids))


def test_output_is_dropped_only_on_request() -> None:
    model = TiedLSTM(TIED.model_copy(update={**OFF, "dropout_output": 0.5}), V).train()
    ids, state = some_ids(4, 2), model.zero_state(2)
    assert torch.equal(model(ids, state)[0], model(ids, state)[0])


def test_no_dropout_makes_training_and_evaluation_the_same() -> None:
    model = TiedLSTM(TIED.model_copy(update=OFF), V)
    ids = some_ids(4, 2)
    assert torch.equal(seen_by_softmax(model.train(), ids), seen_by_softmax(model.eval(), ids))


def test_shapes_are_as_documented() -> None:
    model = TiedLSTM(TIED.model_copy(update={"layers": 3}), V)
    state = model.zero_state(2)
    assert [[tuple(part.shape) for part in layer] for layer in state] == [
        *([(1, 2, 9), (1, 2, 9)], [(1, 2, 9), (1, 2, 9)], [(1, 2, 6), (1, 2, 6)])
    ]
    assert all(not part.any() for layer in state for part in layer)
    hidden, after = model(some_ids(5, 2), state)
    assert hidden.shape == (5, 2, 6)
    assert model.logits(hidden).shape == (5, 2, V)
    assert [h.shape for h, _ in after] == [h.shape for h, _ in state]


def test_detached_state_has_no_history() -> None:
    model = TiedLSTM(TIED, V)
    _, state = model(some_ids(3, 2), model.zero_state(2))
    for (h, c), (old_h, old_c) in zip(detach_state(state), state, strict=True):
        assert torch.equal(h, old_h)
        assert torch.equal(c, old_c)
        assert old_h.requires_grad
        assert not h.requires_grad
        assert not c.requires_grad


def test_unmarked_streams_restart_from_zero() -> None:
    model = TiedLSTM(TIED, V).eval()
    _, state = model(some_ids(3, 4), model.zero_state(4))
    kept = mask_state(state, torch.tensor([True, False, False, True]))
    for before, after in zip(state, kept, strict=True):
        for old, new in zip(before, after, strict=True):
            assert new[:, [0, 3]].equal(old[:, [0, 3]])
            assert not new[:, [1, 2]].any()
    assert mask_state(state, torch.ones(4, dtype=torch.bool)) is state


def test_a_state_of_other_depth_is_refused() -> None:
    model = TiedLSTM(TIED, V)
    with pytest.raises(ValueError, match="shorter"):
        model(some_ids(3, 2), model.zero_state(2)[:1])
