"""Copies of correct bundles with one error in a graph or in the weights."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray

from service.bundle import Bundle

Array = NDArray[np.generic]
Encoder = Callable[[onnx.GraphProto], None]


def with_weights(bundle: Bundle, change: Callable[[dict[str, Array]], None]) -> Bundle:
    """Return the bundle after `change` has edited the tensors of weights.bin, given by name."""
    content = bytearray(bundle.contents["weights.bin"])
    tensors: dict[str, Array] = {}
    for name in ("encoder.onnx", "decoder.onnx"):
        for tensor in onnx.load_from_string(bundle.contents[name]).graph.initializer:
            place = {entry.key: entry.value for entry in tensor.external_data}
            if place:
                dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
                shape = tuple(tensor.dims)
                tensors[tensor.name] = np.frombuffer(
                    content, dtype, int(np.prod(shape)), int(place["offset"])
                ).reshape(shape)
    change(tensors)
    return replace(bundle, contents={**bundle.contents, "weights.bin": bytes(content)})


def with_encoder(bundle: Bundle, change: Encoder) -> Bundle:
    """Return the bundle after `change` has edited the nodes of the encoder's graph."""
    model = onnx.load_from_string(bundle.contents["encoder.onnx"])
    change(model.graph)
    content = model.SerializeToString(deterministic=True)
    return replace(bundle, contents={**bundle.contents, "encoder.onnx": content})


def gates(values: Array) -> list[Array]:
    """Return views of the four gates (H, …) of W (1, 4H, D), R (1, 4H, H) or half of B (1, 8H)."""
    return np.split(values[0], 4)


def transposed_gate(tensors: dict[str, Array]) -> None:
    gate = gates(tensors["layer0.R"])[2]
    gate[:] = gate.T.copy()


def transposed_last_gate(tensors: dict[str, Array]) -> None:
    gate = gates(tensors[max(name for name in tensors if name.endswith(".R"))])[3]
    gate[:] = gate.T.copy()


def missing_bias(tensors: dict[str, Array]) -> None:
    biases = tensors["layer0.B"][0]
    biases[: len(biases) // 2] = 0


def missing_recurrent_bias(tensors: dict[str, Array]) -> None:
    biases = tensors["layer0.B"][0]
    biases[len(biases) // 2 :] = 0


def missing_output_bias(tensors: dict[str, Array]) -> None:
    tensors["output_bias"][:] = 0


def pytorchs_gate_order(tensors: dict[str, Array]) -> None:
    """Order the gates input, forget, cell, output; ONNX uses input, output, forget, cell."""
    for name in ("layer0.W", "layer0.R"):
        i, o, f, c = (gate.copy() for gate in gates(tensors[name]))
        tensors[name][0] = np.concatenate([i, f, c, o])
    half = tensors["layer0.B"].shape[1] // 2
    for part in (slice(None, half), slice(half, None)):
        i, o, f, c = (gate.copy() for gate in gates(tensors["layer0.B"][:, part]))
        tensors["layer0.B"][0, part] = np.concatenate([i, f, c, o])


def one_embedding_row(tensors: dict[str, Array]) -> None:
    rows = tensors["embedding"]
    rows[:] = np.roll(rows, 1, axis=0)


def swapped_layers(graph: onnx.GraphProto) -> None:
    """Exchange the weights of two layers of the same shape."""
    first, second = (node for node in graph.node if "LSTM" in node.op_type)
    for index, (one, other) in enumerate(zip(first.input, second.input, strict=True)):
        if one.startswith("layer0."):
            first.input[index], second.input[index] = other, one


def swapped_hidden_and_cell(graph: onnx.GraphProto) -> None:
    split = next(node for node in graph.node if node.op_type == "Split")
    split.output[0], split.output[1] = split.output[1], split.output[0]


def swapped_states_of_layers(graph: onnx.GraphProto) -> None:
    concat = next(node for node in graph.node if "new_state" in node.output)
    names = list(concat.input)
    concat.input[:] = names[2:4] + names[:2] + names[4:]


def state_before_the_last_token(graph: onnx.GraphProto) -> None:
    """Return the state one token before the end of each sequence."""
    one = onnx.numpy_helper.from_array(np.array(1, np.int32), "one")
    graph.initializer.append(one)
    for node in graph.node:
        if "LSTM" in node.op_type:
            node.input[4] = "shorter"
    graph.node.insert(0, onnx.helper.make_node("Sub", ["lengths", "one"], ["shorter"]))


def state_not_carried(graph: onnx.GraphProto) -> None:
    """Start the last layer from zero, whatever the given state."""
    for node in graph.node:
        if node.op_type == "LSTM":
            last = node
    last.input[5] = last.input[6] = ""


WEIGHTS = [
    transposed_gate,
    transposed_last_gate,
    missing_bias,
    missing_recurrent_bias,
    missing_output_bias,
    pytorchs_gate_order,
    one_embedding_row,
]
GRAPHS = [
    swapped_layers,
    swapped_hidden_and_cell,
    swapped_states_of_layers,
    state_before_the_last_token,
    state_not_carried,
]
