import numpy as np
import onnx
import onnxruntime
import pytest

from model_export.graph import Graph, Output, tensor_info
from model_export.weights import WeightsFile
from service.bundle import Bundle
from tests.support.numpy_lstm import Exported

SUM: list[Output] = [("sum", np.float32, ["N"])]


def small_model() -> bytes:
    """Return a model of y = x · 2 and, on request, the sums of y's rows."""
    graph = Graph(WeightsFile())
    graph.node("Mul", ["x", graph.constant(2.0, np.float32)], "y")
    branch = graph.branch("asked", "sum", SUM)
    axis = branch.constant([1], np.int64)
    branch.node("ReduceSum", ["y", axis], "sum.asked", keepdims=0)
    branch.close()
    x, y = tensor_info("x", np.float32, ["N", 3]), tensor_info("y", np.float32, ["N", 3])
    return graph.model("small", [x, tensor_info("asked", np.bool_, [])], [y, tensor_info(*SUM[0])])


def test_branch_runs_only_on_request() -> None:
    session = onnxruntime.InferenceSession(small_model(), providers=["CPUExecutionProvider"])
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    y, total = session.run(None, {"x": x, "asked": np.array(True)})
    assert y.tolist() == [[0, 2, 4], [6, 8, 10]]
    assert total.tolist() == [6, 24]
    y, total = session.run(None, {"x": x, "asked": np.array(False)})
    assert y.tolist() == [[0, 2, 4], [6, 8, 10]]
    assert total.shape == (0,)


def test_the_same_calls_give_the_same_bytes() -> None:
    assert small_model() == small_model()


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_graphs_are_valid_onnx_with_unique_names(exported: Exported, precision: str) -> None:
    folder = exported.bundle("int8" if precision == "int8" else "float32")
    for name in ("encoder.onnx", "decoder.onnx"):
        onnx.checker.check_model(str(folder / name))
        graph = onnx.load(folder / name, load_external_data=False).graph
        outputs = [output for node in graph.node for output in node.output if output]
        named = [*outputs, *(tensor.name for tensor in graph.initializer)]
        assert len(set(named)) == len(named)


def test_both_graphs_point_at_one_embedding(exported: Exported) -> None:
    contents = Bundle.load(exported.bundle()).contents
    embedding = exported.model.embedding.weight.detach().numpy()
    assert sum(content.count(embedding.tobytes()) for content in contents.values()) == 1
    assert sum(content.count(embedding.T.tobytes()) for content in contents.values()) == 0
    places = []
    for name in ("encoder.onnx", "decoder.onnx"):
        tensors = onnx.load_model_from_string(contents[name]).graph.initializer
        (tensor,) = [tensor for tensor in tensors if tensor.name == "embedding"]
        places.append({entry.key: entry.value for entry in tensor.external_data})
    assert places[0] == places[1]


def test_axes_of_time_batch_and_rows_are_free(exported: Exported) -> None:
    folder = exported.bundle()
    dims = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for name in ("encoder.onnx", "decoder.onnx")
        for value in onnx.load(folder / name, load_external_data=False).graph.input
    }
    size, width = exported.engine().state_size, exported.engine().embedding_size
    assert dims == {
        "ids": ["B", "T"],
        "lengths": ["B"],
        "rows": ["N"],
        "state": ["B", size],
        "hidden": ["N", width],
        "targets": ["N"],
        "details": [],
        "top": [1],
        "distribution": [],
        "block_rows": [],
    }
