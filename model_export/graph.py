"""Weights → the encoder and decoder graphs, built node by node.

They are built and not traced: tracing froze the time axis of an LSTM with state inputs, or wrote
the tied matrix twice.

    encoder  ids (B, T), lengths (B), rows (N), state (B, S) → hidden (N, D), new_state (B, S)
    decoder  hidden (N, D), targets (N) → logprobs (N), log_distribution (N, V);
             with `details` ranks (N) and entropies (N); with `top` > 0 top_ids and
             top_logprobs (N, top)

`rows` picks the real tokens out of the padded (T · B) outputs. A state holds h and c of every
layer side by side, the last layer's at the end.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from model_export.weights import WeightsFile
from train.model import TiedLSTM, layer_sizes

OPSET = 21
IR_VERSION = 10

Floats = NDArray[np.float32]
Output = tuple[str, type[np.generic], list[str]]


class Graph:
    """An ONNX graph in the making: every method adds a node and returns its output's name."""

    def __init__(self, weights: WeightsFile) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, TensorProto] = {}
        self._counter = 0

    def node(
        self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any
    ) -> str:
        output = output or self._fresh(operator)
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def nodes(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> None:
        self._nodes.append(helper.make_node(operator, list(inputs), list(outputs), **attributes))

    def weight(self, name: str, values: NDArray[np.generic]) -> str:
        self._initializers[name] = self._weights.tensor(name, values)
        return name

    def constant(self, values: Any, dtype: type[np.generic]) -> str:
        """A small tensor that stands in the graph itself."""
        name = self._fresh("constant")
        self._initializers[name] = onnx.numpy_helper.from_array(np.array(values, dtype), name)
        return name

    def branch(self, name: str, outputs: Sequence[onnx.ValueInfoProto]) -> onnx.GraphProto:
        """What was added as the body of an `If`, which sees the names outside it."""
        return helper.make_graph(
            self._nodes, name, [], list(outputs), list(self._initializers.values())
        )

    def model(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
    ) -> bytes:
        graph = helper.make_graph(
            self._nodes, name, list(inputs), list(outputs), list(self._initializers.values())
        )
        model = helper.make_model(
            graph,
            producer_name="tiedlm",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)],
        )
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _fresh(self, kind: str) -> str:
        self._counter += 1
        return f"{kind}.{self._counter}"


def build_encoder(model: TiedLSTM, weights: WeightsFile) -> bytes:
    graph = Graph(weights)
    widths = [width for _, width in layer_sizes(model.config)]
    embedding = graph.weight("embedding", _array(model.embedding.weight))
    by_step = graph.node("Transpose", ["ids"], perm=[1, 0])  # (T, B)
    hidden = graph.node("Gather", [embedding, by_step])  # (T, B, D)
    states = _split_state(graph, widths)
    first, second = graph.constant([0], np.int64), graph.constant([1], np.int64)
    new_states = []
    for index, (layer, width) in enumerate(zip(model.lstm_layers(), widths, strict=True)):
        h, c = (graph.node("Unsqueeze", [s, first]) for s in states[2 * index : 2 * index + 2])
        names = [f"layer{index}.{part}" for part in ("outputs", "h", "c")]
        lstm_inputs = [hidden, *_lstm_weights(graph, layer, f"layer{index}"), "lengths", h, c]
        graph.nodes("LSTM", lstm_inputs, names, hidden_size=width)
        hidden = graph.node("Squeeze", [names[0], second])  # (T, B, width)
        new_states += [graph.node("Squeeze", [name, first]) for name in names[1:]]
    flat = graph.node("Reshape", [hidden, graph.constant([-1, widths[-1]], np.int64)])  # (T · B, D)
    graph.node("Gather", [flat, "rows"], "hidden")  # (N, D)
    graph.node("Concat", new_states, "new_state", axis=1)
    size = 2 * sum(widths)
    return graph.model(
        "encoder",
        [
            _info("ids", np.int64, ["B", "T"]),
            _info("lengths", np.int32, ["B"]),
            _info("rows", np.int64, ["N"]),
            _info("state", np.float32, ["B", size]),
        ],
        [
            _info("hidden", np.float32, ["N", widths[-1]]),
            _info("new_state", np.float32, ["B", size]),
        ],
    )


def build_decoder(model: TiedLSTM, weights: WeightsFile) -> bytes:
    graph = Graph(weights)
    vocabulary, width = model.embedding.weight.shape
    embedding = graph.weight("embedding", _array(model.embedding.weight))
    bias = graph.weight("output_bias", _array(model.output_bias))
    logits = graph.node("Gemm", ["hidden", embedding, bias], transB=1)  # (N, V)
    graph.node("LogSoftmax", [logits], "log_distribution", axis=-1)
    second = graph.constant([1], np.int64)
    column = graph.node("Unsqueeze", ["targets", second], "target_column")  # (N, 1)
    graph.node("GatherElements", ["log_distribution", column], "logprob_column", axis=1)
    graph.node("Squeeze", ["logprob_column", second], "logprobs")
    _if_details(graph, vocabulary)
    _if_top(graph)
    return graph.model(
        "decoder",
        [
            _info("hidden", np.float32, ["N", width]),
            _info("targets", np.int64, ["N"]),
            _info("details", np.bool_, []),
            _info("top", np.int64, [1]),
        ],
        [
            _info("log_distribution", np.float32, ["N", vocabulary]),
            _info("logprobs", np.float32, ["N"]),
            _info("ranks", np.int64, ["N"]),
            _info("entropies", np.float32, ["N"]),
            _info("top_ids", np.int64, ["N", "K"]),
            _info("top_logprobs", np.float32, ["N", "K"]),
        ],
    )


def _if_details(graph: Graph, vocabulary: int) -> None:
    """Rank and entropy only on request: they cost as much as the softmax itself.

    A rank is 1 + the words that are more probable + the equally probable ones of a lower id.
    """
    yes = Graph(graph._weights)
    axis = yes.constant([1], np.int64)
    above = yes.node("Greater", ["log_distribution", "logprob_column"])
    ids = yes.constant(np.arange(vocabulary)[None], np.int64)
    lower = yes.node("Less", [ids, "target_column"])
    equal = yes.node("Equal", ["log_distribution", "logprob_column"])
    ahead = yes.node("Or", [above, yes.node("And", [equal, lower])])
    count = yes.node(
        "ReduceSum", [yes.node("Cast", [ahead], to=TensorProto.INT32), axis], keepdims=0
    )
    rank = yes.node("Add", [count, yes.constant(1, np.int32)])
    yes.node("Cast", [rank], "ranks.yes", to=TensorProto.INT64)
    probabilities = yes.node("Exp", ["log_distribution"])
    product = yes.node("Mul", [probabilities, "log_distribution"])
    yes.node("Neg", [yes.node("ReduceSum", [product, axis], keepdims=0)], "entropies.yes")
    outputs: list[Output] = [("ranks", np.int64, ["N"]), ("entropies", np.float32, ["N"])]
    _conditional(graph, "details", yes, outputs)


def _if_top(graph: Graph) -> None:
    """The `top` most probable words, largest first."""
    yes = Graph(graph._weights)
    yes.nodes("TopK", ["log_distribution", "top"], ["top_logprobs.yes", "top_ids.yes"], axis=1)
    zero = graph.constant([0], np.int64)
    asked = graph.node("Squeeze", [graph.node("Greater", ["top", zero])])
    outputs: list[Output] = [
        ("top_ids", np.int64, ["N", "K"]),
        ("top_logprobs", np.float32, ["N", "K"]),
    ]
    _conditional(graph, asked, yes, outputs)


def _conditional(graph: Graph, condition: str, yes: Graph, outputs: Sequence[Output]) -> None:
    """Run `yes`, whose outputs are called `NAME.yes`, or give empty outputs."""
    no = Graph(graph._weights)
    for name, dtype, shape in outputs:
        empty = no.constant(np.zeros([0] * len(shape)), dtype)
        no.node("Identity", [empty], f"{name}.no")
    graph.nodes(
        "If",
        [condition],
        [name for name, _, _ in outputs],
        then_branch=yes.branch(
            f"{condition}.then",
            [_info(f"{name}.yes", dtype, shape) for name, dtype, shape in outputs],
        ),
        else_branch=no.branch(
            f"{condition}.else", [_info(f"{name}.no", dtype, None) for name, dtype, _ in outputs]
        ),
    )


def _split_state(graph: Graph, widths: list[int]) -> list[str]:
    """(B, S) → h and c of every layer, each (B, width)."""
    sizes = [width for width in widths for _ in ("h", "c")]
    names = [f"state.{index}" for index in range(len(sizes))]
    graph.nodes("Split", ["state", graph.constant(sizes, np.int64)], names, axis=1)
    return names


def _lstm_weights(graph: Graph, layer: torch.nn.LSTM, name: str) -> list[str]:
    """W (1, 4H, D), R (1, 4H, H) and both biases (1, 8H)."""
    named = {key: _gates(value) for key, value in layer.named_parameters()}
    biases = np.concatenate([named["bias_ih_l0"], named["bias_hh_l0"]])
    return [
        graph.weight(f"{name}.W", named["weight_ih_l0"][None]),
        graph.weight(f"{name}.R", named["weight_hh_l0"][None]),
        graph.weight(f"{name}.B", biases[None]),
    ]


def _gates(stacked: torch.Tensor) -> Floats:
    """PyTorch stacks the gates as i, f, cell, o; ONNX as i, o, f, cell."""
    i, f, c, o = np.split(_array(stacked), 4)
    return np.concatenate([i, o, f, c])


def _array(tensor: torch.Tensor) -> Floats:
    return tensor.detach().cpu().numpy().astype(np.float32)


def _info(
    name: str, dtype: type[np.generic], shape: Sequence[int | str] | None
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
    )
