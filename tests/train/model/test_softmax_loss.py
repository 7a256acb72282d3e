"""Tests of the softmax layer with its loss against torch's cross-entropy over all logits."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from train.model import loss as softmax_loss
from train.model.loss import block_rows, linear_cross_entropy


class Case(NamedTuple):
    hidden: Tensor
    matrix: Tensor
    bias: Tensor
    targets: Tensor


def case(rows: int, vocabulary: int, width: int = 7, seed: int = 0) -> Case:
    generator = torch.Generator().manual_seed(seed)
    sizes = ((rows, width), (vocabulary, width), (vocabulary,))
    hidden, matrix, bias = (torch.randn(x, generator=generator).requires_grad_() for x in sizes)
    return Case(hidden, matrix, bias, torch.randint(0, vocabulary, (rows,), generator=generator))


def gradients(loss: Tensor, of: Case, upstream: float = 1.0) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss * upstream, (of.hidden, of.matrix, of.bias))


def reference(of: Case, smoothing: float = 0.0) -> Tensor:
    logits = functional.linear(of.hidden, of.matrix, of.bias)
    return functional.cross_entropy(logits, of.targets, label_smoothing=smoothing)


def blocks_of(rows: int, vocabulary: int, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(softmax_loss, "BLOCK_BYTES", 4 * vocabulary * rows)


def test_the_known_figures() -> None:
    logits = torch.tensor([[2.0, -1.0, 3.0, 2.0], [1.0, 0.0, -0.5, 4.0]])
    for row, target, known in ((0, 2, 0.56194139), (1, 0, 3.07623076)):
        hidden = torch.tensor([[1.0]])
        matrix, bias = logits[row][:, None] - 0.5, torch.full((4,), 0.5)
        loss, plain = linear_cross_entropy(hidden, matrix, bias, torch.tensor([target]))
        assert loss.item() == plain.item() == pytest.approx(known, abs=5e-7)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 70),
    vocabulary=st.integers(2, 40),
    block=st.integers(1, 40),
    smoothing=st.sampled_from([0.0, 0.1, 0.7]),
    upstream=st.sampled_from([1.0, -2.5]),
)
def test_value_and_gradients_equal_torchs(
    rows: int, vocabulary: int, block: int, smoothing: float, upstream: float
) -> None:
    given_case = case(rows, vocabulary)
    with pytest.MonkeyPatch.context() as patch:
        blocks_of(block, vocabulary, patch)
        loss, plain = linear_cross_entropy(*given_case, smoothing)
    expected = reference(given_case, smoothing)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(plain, reference(given_case).detach())
    assert not plain.requires_grad
    for found, wanted in zip(
        gradients(loss, given_case, upstream),
        gradients(expected, given_case, upstream),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


def test_a_numeric_gradient_agrees() -> None:
    """The slope between two near points, which does not need torch's derivative rules."""
    given_case = case(5, 6)
    loss, _ = linear_cross_entropy(*given_case, 0.2)
    for position, gradient in enumerate(gradients(loss, given_case)):
        leaf = given_case[position].detach().double()
        direction = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(position))
        ends = []
        for step in (1e-5, -1e-5):
            moved = [x.detach().double() for x in given_case[:3]]
            moved[position] = leaf + step * direction
            logits = functional.linear(*moved)
            ends.append(functional.cross_entropy(logits, given_case.targets, label_smoothing=0.2))
        slope = (ends[0] - ends[1]) / 2e-5
        assert (gradient * direction).sum().item() == pytest.approx(slope.item(), abs=1e-5)


def test_gradient_of_one_row_is_softmax_minus_target() -> None:
    logits = torch.tensor([2.0, -1.0, 3.0, 2.0])
    bias = logits.clone().requires_grad_()
    loss, _ = linear_cross_entropy(torch.zeros(1, 1), torch.zeros(4, 1), bias, torch.tensor([2]))
    (found,) = torch.autograd.grad(loss, bias)
    known = [0.20972851, 0.01044177, -0.42989879, 0.20972851]
    assert found.tolist() == pytest.approx(known, abs=1e-6)


def test_memory_holds_one_block_of_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    given_case = case(100, 30)
    blocks_of(16, 30, monkeypatch)
    linear, sizes = functional.linear, []

    def record(rows: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
        sizes.append(len(rows))
        return linear(rows, matrix, bias)

    monkeypatch.setattr(functional, "linear", record)
    loss, _ = linear_cross_entropy(*given_case)
    torch.autograd.backward(loss)
    assert sizes == [16] * 6 + [4]  # none is computed again in the backward pass


def test_backward_keeps_no_logits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, vocabulary, width = 200, 100, 7
    blocks_of(16, vocabulary, monkeypatch)
    kept: list[int] = []

    def pack(x: Tensor) -> Tensor:
        kept.append(x.numel())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        linear_cross_entropy(*case(rows, vocabulary, width))
    assert sorted(kept) == sorted([rows * width, vocabulary * width, vocabulary])


def test_block_has_at_least_16_rows() -> None:
    assert block_rows(10_000) * 10_000 * 4 <= softmax_loss.BLOCK_BYTES
    assert block_rows(10_000) * 10_000 * 4 > 0.99 * softmax_loss.BLOCK_BYTES
    assert block_rows(10**9) == 16


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_bfloat16_sums_over_blocks_in_float32(
    monkeypatch: pytest.MonkeyPatch, smoothing: float
) -> None:
    given_case = case(320, 50)
    blocks_of(16, 50, monkeypatch)
    loss, plain = linear_cross_entropy(*given_case, smoothing, torch.bfloat16)
    expected = reference(given_case, smoothing)
    assert loss.dtype == plain.dtype == torch.float32
    torch.testing.assert_close(loss, expected, atol=2e-2, rtol=5e-3)
    for found, wanted in zip(
        gradients(loss, given_case), gradients(expected, given_case), strict=True
    ):
        assert found.dtype == torch.float32
        error = (found - wanted).norm() / wanted.norm()
        assert error < 8e-3  # two to three times a rounding to 8 bits
