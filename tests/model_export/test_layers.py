import numpy as np
import torch
from torch import nn

from model_export.layers import array, lstm_arrays


def test_gates_go_from_pytorchs_order_to_onnxs() -> None:
    """Every row of a gate has the gate's number: 0 input, 1 forget, 2 cell, 3 output."""
    layer = nn.LSTM(3, 2)
    gates = torch.tensor([0.0, 0, 1, 1, 2, 2, 3, 3])
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(gates if parameter.ndim == 1 else gates[:, None].expand_as(parameter))
    w, r, bw, br = lstm_arrays(layer)
    onnx_order = np.array([0, 0, 3, 3, 1, 1, 2, 2], np.float32)  # input, output, forget, cell
    for matrix, width in ((w, 3), (r, 2)):
        assert np.array_equal(matrix, np.tile(onnx_order[:, None], width))
    assert np.array_equal(bw, onnx_order)
    assert np.array_equal(br, onnx_order)


def test_the_two_matrices_and_biases_are_not_swapped() -> None:
    layer = nn.LSTM(2, 2)
    with torch.no_grad():
        for value, (_, parameter) in enumerate(sorted(layer.named_parameters())):
            parameter.fill_(value)  # bias_hh 0, bias_ih 1, weight_hh 2, weight_ih 3
    assert [values.ravel()[0] for values in lstm_arrays(layer)] == [3, 2, 1, 0]


def test_arrays_are_float32_and_free_of_gradients() -> None:
    tensor = torch.ones(2, dtype=torch.float64, requires_grad=True)
    assert array(tensor).dtype == np.float32
