"""An ONNX graph in the making, node by node.

The graphs are built and not traced: tracing froze the time axis of an LSTM with state inputs, or
wrote the tied matrix twice.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from model_export.weights import WeightsFile

OPSET = 21
IR_VERSION = 10

Shape = Sequence[int | str] | None
Output = tuple[str, type[np.generic], list[int | str]]


class Graph:
    """Nodes and weights under construction. Methods that add a node return its output's name.

    A branch or the body of a loop is a graph too and sees all names of the graph around it. Weights
    always belong to the outermost one, `root`: what is made there of weights alone is made once.
    """

    def __init__(self, weights: WeightsFile, prefix: str = "", root: "Graph | None" = None) -> None:
        self.root = root or self
        self._weights = weights
        self._prefix = prefix
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, TensorProto] = {}
        self._counter = 0

    def node(
        self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any
    ) -> str:
        output = output or self._fresh(operator)
        self.nodes(operator, inputs, [output], **attributes)
        return output

    def nodes(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> None:
        """A node with several outputs. Operators of onnxruntime take `domain="com.microsoft"`."""
        node = helper.make_node(operator, list(inputs), list(outputs), **attributes)
        self._nodes.append(node)

    def weight(self, name: str, values: NDArray[np.generic]) -> str:
        """A tensor of the weights file, under the same name in every graph that uses it."""
        self.root._initializers[name] = self._weights.tensor(name, values)
        return name

    def constant(self, values: Any, dtype: type[np.generic]) -> str:
        """A small tensor that stands in the graph itself."""
        name = self._fresh("constant")
        self._initializers[name] = onnx.numpy_helper.from_array(np.array(values, dtype), name)
        return name

    def if_asked(self, condition: str, name: str, outputs: Sequence[Output]) -> "Graph":
        """A branch that runs only where the scalar `condition` is true.

        Add nodes to it that end in `OUTPUT.asked` for every output, then call `close_if`.
        """
        branch = self._inner(name)
        branch._condition, branch._outputs = condition, list(outputs)
        return branch

    def close_if(self, branch: "Graph") -> None:
        """Join a branch; where its condition is false its outputs are empty."""
        empty = self._inner(f"no-{branch._prefix.removesuffix('.')}")
        for name, dtype, shape in branch._outputs:
            zeros = empty.constant(np.zeros([0] * len(shape)), dtype)
            empty.node("Identity", [zeros], f"{name}.empty")
        asked = [tensor_info(f"{n}.asked", dtype, shape) for n, dtype, shape in branch._outputs]
        unasked = [tensor_info(f"{n}.empty", dtype, None) for n, dtype, _ in branch._outputs]
        self.nodes(
            "If",
            [branch._condition],
            [name for name, _, _ in branch._outputs],
            then_branch=branch._graph("asked", [], asked),
            else_branch=empty._graph("empty", [], unasked),
        )

    def loop(self, count: str, name: str, outputs: Sequence[Output]) -> "Graph":
        """The body of a loop that runs `count` times; `NAME.index` is the scalar number of a turn.

        Add nodes to it that end in `OUTPUT.each` for every output, all turns in the same shape,
        then call `close_loop`.
        """
        body = self._inner(name)
        body._condition, body._outputs = count, list(outputs)
        return body

    def close_loop(self, body: "Graph") -> None:
        """Join a loop; its outputs are those of all turns, on an axis before the others."""
        index, condition = f"{body._prefix}index", f"{body._prefix}condition"
        again = body.node("Identity", [condition])
        each = [tensor_info(f"{n}.each", dtype, shape) for n, dtype, shape in body._outputs]
        turn = [tensor_info(index, np.int64, []), tensor_info(condition, np.bool_, [])]
        go_on = tensor_info(again, np.bool_, [])
        self.nodes(
            "Loop",
            [body._condition, ""],
            [name for name, _, _ in body._outputs],
            body=body._graph("body", turn, [go_on, *each]),
        )

    def model(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
    ) -> bytes:
        """The finished model, serialised; the same calls give the same bytes."""
        model = helper.make_model(
            self._graph(name, inputs, outputs),
            producer_name="tiedlm",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)],
        )
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    _condition: str
    _outputs: list[Output]

    def _inner(self, name: str) -> "Graph":
        return Graph(self._weights, f"{self._prefix}{name}.", self.root)

    def _graph(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
    ) -> onnx.GraphProto:
        initializers = list(self._initializers.values())
        return helper.make_graph(self._nodes, name, list(inputs), list(outputs), initializers)

    def _fresh(self, kind: str) -> str:
        self._counter += 1
        return f"{self._prefix}{kind}.{self._counter}"


def tensor_info(name: str, dtype: type[np.generic], shape: Shape) -> onnx.ValueInfoProto:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, element, shape)
