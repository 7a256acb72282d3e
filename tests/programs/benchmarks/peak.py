"""The peak of the machine: large matrix products by onnxruntime, on every core."""

import threading
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

ROWS, INNER, COLUMNS = 64, 650, 2600
SECONDS = 1.5


def gemm_peak(precision: str, threads: int) -> float:
    """Return operations per second over all threads; a multiply-add counts as two."""
    session = _session(precision)
    random = np.random.default_rng(0)
    dtype = np.float32 if precision == "float32" else np.uint8
    feed = {"a": random.integers(0, 255, (ROWS, INNER)).astype(dtype)}
    counts = [0] * threads
    end = time.perf_counter() + SECONDS

    def work(index: int) -> None:
        while time.perf_counter() < end:
            for _ in range(20):
                session.run(None, feed)
            counts[index] += 20

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    begun = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) * 2 * ROWS * INNER * COLUMNS / (time.perf_counter() - begun)


def _session(precision: str) -> onnxruntime.InferenceSession:
    random = np.random.default_rng(1)
    if precision == "float32":
        weights = random.normal(size=(INNER, COLUMNS)).astype(np.float32)
        node = helper.make_node("MatMul", ["a", "b"], ["y"])
        element, extra = TensorProto.FLOAT, []
    else:
        weights = random.integers(-63, 64, (INNER, COLUMNS)).astype(np.int8)
        node = helper.make_node(
            "MatMulIntegerToFloat", ["a", "b", "sa", "sb", "za"], ["y"], domain="com.microsoft"
        )
        element = TensorProto.UINT8
        extra = [
            onnx.numpy_helper.from_array(np.array(0.01, np.float32), "sa"),
            onnx.numpy_helper.from_array(np.full(COLUMNS, 0.01, np.float32), "sb"),
            onnx.numpy_helper.from_array(np.array(128, np.uint8), "za"),
        ]
    graph = helper.make_graph(
        [node],
        "peak",
        [helper.make_tensor_value_info("a", element, ["N", INNER])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", COLUMNS])],
        [onnx.numpy_helper.from_array(weights, "b"), *extra],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, ir_version=10, opset_imports=opsets)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
