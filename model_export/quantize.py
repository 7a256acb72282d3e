"""Layers with weights of seven bits and activations of eight bits in constant ranges.

*Weights* are symmetric integers in −63 … 63 with one scale per channel. They have seven bits, not
eight, because processors without VNNI add products pairwise in 16 bits: 2 · 255 · 63 fits,
2 · 255 · 127 does not, and a score must not depend on the processor.

*Activations*. onnxruntime's `DynamicQuantizeLSTM` computes one scale over its whole input, so that
the score of a text would depend on the other texts of the batch. Here every tensor that it
quantises contains its own extremes: the embedded words have two more columns at ±max|E|, and every
layer has two *constant units* at +1 and −1, the bounds of a hidden unit. A unit is constant if its
weights are zero, its input gate is shut (bias −40), its forget and output gates are open (+40) and
it starts at h = ±1, c = ±20: then tanh(20) = 1 and sigmoid(40) = 1 in float32. The ranges are the
same in every batch and integer products are exact. The scores of a text are therefore the same bit
for bit in any batch. Constant units exist in the encoder alone: states and hidden vectors have the
model's width.

*The tied matrix* is one int8 tensor with a scale for each word. The encoder looks up its rows, the
decoder multiplies by its transpose.
"""

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from model_export.graph import Graph
from model_export.layers import array, lstm_arrays
from service.arrays import Floats
from train.model.lstm import TiedLSTM

Int8s = NDArray[np.int8]

LARGEST = 63
SHUT, OPEN = -40.0, 40.0
CONSTANT_HIDDEN = (1.0, -1.0)
CONSTANT_CELL = (20.0, -20.0)
UNITS = 2

# Hidden vectors lie in −1 … 1; the decoder reads them as uint8 around 128.
HIDDEN_SCALE, HIDDEN_ZERO = 1 / 127, 128


def quantize_rows(values: Floats) -> tuple[Int8s, Floats]:
    """Return (rows, columns) as int8 of the same shape, and the scale of each row (rows,)."""
    scales = np.abs(values).max(axis=1) / LARGEST
    scales = np.where(scales == 0, 1, scales).astype(np.float32)
    return np.rint(values / scales[:, None]).astype(np.int8), scales


class Int8Layers:
    """Implements `Layers`."""

    def __init__(self, model: TiedLSTM) -> None:
        self._embedding, self._embedding_scales = quantize_rows(array(model.embedding.weight))
        self._bias = array(model.output_bias)
        self._layers = [lstm_arrays(layer) for layer in model.lstm_layers()]
        dequantized = self._embedding * self._embedding_scales[:, None]
        self._largest = float(np.abs(dequantized).max())

    def embed(self, graph: Graph, ids: str) -> str:
        rows = graph.node("Gather", [graph.weight("embedding", self._embedding), ids])
        scales = graph.weight("embedding.scales", self._embedding_scales)
        scale = graph.node("Unsqueeze", [graph.node("Gather", [scales, ids]), _axis(graph, 2)])
        integers = graph.node("Cast", [rows], to=TensorProto.FLOAT)
        words = graph.node("Mul", [integers, scale])  # (T, B, D)
        shape = graph.node("Concat", [graph.node("Shape", [ids]), _axis(graph, UNITS)], axis=0)
        extremes = graph.constant([self._largest, -self._largest], np.float32)
        return graph.node("Concat", [words, graph.node("Expand", [extremes, shape])], axis=2)

    def lstm(self, graph: Graph, index: int, x: str, h: str, c: str) -> tuple[str, str, str]:
        w, r, bw, br = self._layers[index]
        hidden = r.shape[1]
        name = f"layer{index}"
        w8, w_scales = quantize_rows(_widen(w))
        r8, r_scales = quantize_rows(_widen(r))
        biases = np.concatenate([_widen_bias(bw + br), np.zeros(len(w8), np.float32)])
        zero = graph.constant(np.zeros((1, len(w8))), np.int8)
        inputs = [
            x,
            graph.weight(f"{name}.W", np.ascontiguousarray(w8.T)[None]),  # (1, D + 2, 4 (H + 2))
            graph.weight(f"{name}.R", np.ascontiguousarray(r8.T)[None]),  # (1, H + 2, 4 (H + 2))
            graph.weight(f"{name}.B", biases[None]),
            "lengths",
            self._with_constants(graph, h, CONSTANT_HIDDEN),
            self._with_constants(graph, c, CONSTANT_CELL),
            "",
            graph.weight(f"{name}.W.scales", w_scales[None]),
            zero,
            graph.weight(f"{name}.R.scales", r_scales[None]),
            zero,
        ]
        outputs = [f"{name}.{part}" for part in ("outputs", "h", "c")]
        graph.nodes(
            "DynamicQuantizeLSTM",
            inputs,
            outputs,
            domain="com.microsoft",
            hidden_size=hidden + UNITS,
        )
        return (
            graph.node("Squeeze", [outputs[0], _axis(graph, 1)]),
            self._without_constants(graph, outputs[1], hidden),
            self._without_constants(graph, outputs[2], hidden),
        )

    def hidden(self, graph: Graph, outputs: str) -> str:
        width = self._embedding.shape[1]
        flat = graph.node("Reshape", [outputs, graph.constant([-1, width + UNITS], np.int64)])
        return _first_columns(graph, flat, width)

    def logits(self, graph: Graph, hidden: str) -> str:
        embedding = graph.weight("embedding", self._embedding)  # (V, D)
        transposed = graph.root.node("Transpose", [embedding], perm=[1, 0])  # folded at load
        scale = graph.constant(HIDDEN_SCALE, np.float32)
        zero = graph.constant(HIDDEN_ZERO, np.uint8)
        integers = graph.node("QuantizeLinear", [hidden, scale, zero])
        return graph.node(
            "MatMulIntegerToFloat",
            [
                integers,
                transposed,
                scale,
                graph.weight("embedding.scales", self._embedding_scales),
                zero,
                "",
                graph.weight("output_bias", self._bias),
            ],
            domain="com.microsoft",
        )

    def _with_constants(self, graph: Graph, state: str, values: tuple[float, ...]) -> str:
        """Append the constant units: (B, H) → (1, B, H + 2)."""
        rows = graph.node("Shape", [state], start=0, end=1)
        shape = graph.node("Concat", [rows, _axis(graph, UNITS)], axis=0)
        constants = graph.node("Expand", [graph.constant(values, np.float32), shape])
        widened = graph.node("Concat", [state, constants], axis=1)
        return graph.node("Unsqueeze", [widened, _axis(graph, 0)])

    def _without_constants(self, graph: Graph, state: str, hidden: int) -> str:
        """Remove the constant units: (1, B, H + 2) → (B, H)."""
        return _first_columns(graph, graph.node("Squeeze", [state, _axis(graph, 0)]), hidden)


def _first_columns(graph: Graph, values: str, count: int) -> str:
    """Keep the first `count` columns: (rows, columns) → (rows, count)."""
    return graph.node("Slice", [values, _axis(graph, 0), _axis(graph, count), _axis(graph, 1)])


def _axis(graph: Graph, value: int) -> str:
    return graph.constant([value], np.int64)


def _widen(weights: Floats) -> Floats:
    """Pad (4H, I) to (4 (H + 2), I + 2): the weights of constant units are zero."""
    gates = weights.reshape(4, -1, weights.shape[1])
    return np.pad(gates, ((0, 0), (0, UNITS), (0, UNITS))).reshape(-1, weights.shape[1] + UNITS)


def _widen_bias(bias: Floats) -> Floats:
    """Add the biases of the constant units: (4H,) → (4 (H + 2),), gates input, output, forget,
    cell.
    """
    constants = np.array([[SHUT] * UNITS, [OPEN] * UNITS, [OPEN] * UNITS, [0.0] * UNITS])
    return np.concatenate([bias.reshape(4, -1), constants], axis=1).astype(np.float32).ravel()
