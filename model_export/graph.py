"""A builder of ONNX graphs, node by node.

The graphs are built, not traced: tracing fixed the time axis of an LSTM with state inputs, or wrote
the tied matrix twice.
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

    Branches and loop bodies are graphs, too, which see all names of the graph around them. Weights
    always belong to the outermost graph, `root`: values computed there from weights alone are
    computed once.
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
        """Add a node with one output, under a new name if `output` is empty."""
        output = output or self._new_name(operator)
        self.nodes(operator, inputs, [output], **attributes)
        return output

    def nodes(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> None:
        """Add a node with several outputs. onnxruntime's own operators need a `domain`."""
        node = helper.make_node(operator, list(inputs), list(outputs), **attributes)
        self._nodes.append(node)

    def weight(self, name: str, values: NDArray[np.generic]) -> str:
        """Add a tensor of the weights file, under the same name in every graph that uses it."""
        self.root._initializers[name] = self._weights.tensor(name, values)
        return name

    def constant(self, values: Any, dtype: type[np.generic]) -> str:
        """Add a small tensor that is stored in the graph itself."""
        name = self._new_name("constant")
        self._initializers[name] = onnx.numpy_helper.from_array(np.array(values, dtype), name)
        return name

    def branch(self, condition: str, name: str, outputs: Sequence[Output]) -> "Branch":
        """Begin a branch that runs only if the scalar `condition` is true."""
        return Branch(self, condition, name, outputs)

    def loop(self, count: str, name: str, outputs: Sequence[Output]) -> "Loop":
        """Begin the body of a loop that runs `count` times."""
        return Loop(self, count, name, outputs)

    def inner(self, name: str) -> "Graph":
        """Return an empty graph inside this one, whose names begin with `name`."""
        return Graph(self._weights, f"{self._prefix}{name}.", self.root)

    def model(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
    ) -> bytes:
        """Return the finished model, serialised. The same calls give the same bytes."""
        model = helper.make_model(
            self.proto(name, inputs, outputs),
            producer_name="tiedlm",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)],
        )
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def proto(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
    ) -> onnx.GraphProto:
        initializers = list(self._initializers.values())
        return helper.make_graph(self._nodes, name, list(inputs), list(outputs), initializers)

    def _new_name(self, kind: str) -> str:
        self._counter += 1
        return f"{self._prefix}{kind}.{self._counter}"


class Branch(Graph):
    """A part of `parent` that runs only if the scalar `condition` is true.

    Add nodes that end in `OUTPUT.asked` for every output, then call `close`.
    """

    def __init__(self, parent: Graph, condition: str, name: str, outputs: Sequence[Output]) -> None:
        super().__init__(parent._weights, f"{parent._prefix}{name}.", parent.root)
        self._parent = parent
        self._condition = condition
        self._name = name
        self._outputs = outputs

    def close(self) -> None:
        """Add the branch to its parent. If the condition is false, its outputs are empty."""
        empty = self._parent.inner(f"no-{self._parent._prefix}{self._name}")
        for name, dtype, shape in self._outputs:
            zeros = empty.constant(np.zeros([0] * len(shape)), dtype)
            empty.node("Identity", [zeros], f"{name}.empty")
        asked = [tensor_info(f"{n}.asked", dtype, shape) for n, dtype, shape in self._outputs]
        unasked = [tensor_info(f"{n}.empty", dtype, None) for n, dtype, _ in self._outputs]
        self._parent.nodes(
            "If",
            [self._condition],
            [name for name, _, _ in self._outputs],
            then_branch=self.proto("asked", [], asked),
            else_branch=empty.proto("empty", [], unasked),
        )


class Loop(Graph):
    """The body of a loop in `parent` that runs `count` times.

    `index` is the scalar number of an iteration. Add nodes that end in `OUTPUT.each` for every
    output, of the same shape in all iterations, then call `close`.
    """

    def __init__(self, parent: Graph, count: str, name: str, outputs: Sequence[Output]) -> None:
        super().__init__(parent._weights, f"{parent._prefix}{name}.", parent.root)
        self._parent = parent
        self._count = count
        self._outputs = outputs
        self.index = f"{self._prefix}index"

    def close(self) -> None:
        """Add the loop to its parent. Its outputs have those of all iterations on a first axis."""
        condition = f"{self._prefix}condition"
        again = self.node("Identity", [condition])
        each = [tensor_info(f"{n}.each", dtype, shape) for n, dtype, shape in self._outputs]
        inputs = [tensor_info(self.index, np.int64, []), tensor_info(condition, np.bool_, [])]
        self._parent.nodes(
            "Loop",
            [self._count, ""],
            [name for name, _, _ in self._outputs],
            body=self.proto("body", inputs, [tensor_info(again, np.bool_, []), *each]),
        )


def tensor_info(name: str, dtype: type[np.generic], shape: Shape) -> onnx.ValueInfoProto:
    """Return the declaration of a graph's input or output."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, element, shape)
