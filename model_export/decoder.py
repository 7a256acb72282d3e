"""The decoder graph: hidden (N, D), targets (N) → figures of each target.

    logprobs (N)
    with `details`       ranks (N), entropies (N)
    with `top` > 0       top_ids and top_logprobs (N, top)
    with `distribution`  log_distribution (N, V), and nothing else

Optional outputs are in branches, so that they are computed only on request. The rows are processed
in blocks of at most `block_rows`, so that the logits of a block stay in a cache. The loop is a part
of the graph, because a caller that loops in Python waits for the interpreter lock after every
block. The whole distribution has no loop: it does not fit the cache anyway, and most requests for
it have a single row.
"""

import numpy as np
from onnx import TensorProto

from model_export.graph import Graph, Loop, Output, tensor_info
from model_export.layers import Layers
from model_export.weights import WeightsFile

DETAILS: list[Output] = [("ranks", np.int64, ["R"]), ("entropies", np.float32, ["R"])]
TOP: list[Output] = [("top_ids", np.int64, ["R", "K"]), ("top_logprobs", np.float32, ["R", "K"])]


def build_decoder(layers: Layers, width: int, vocabulary: int, weights: WeightsFile) -> bytes:
    """Return the serialised graph. `width` is the model's D; tensors go to `weights`."""
    graph = Graph(weights)
    distribution: list[Output] = [("log_distribution", np.float32, ["N", vocabulary])]
    branch = graph.branch("distribution", "distribution", distribution)
    branch.node("LogSoftmax", [layers.logits(branch, "hidden")], "log_distribution.asked", axis=-1)
    branch.close()
    of_rows: list[Output] = [("logprobs", np.float32, ["R"]), *DETAILS, *TOP]
    _in_blocks(graph, layers, vocabulary, of_rows)
    of_targets: list[Output] = [(name, dtype, ["N", *shape[1:]]) for name, dtype, shape in of_rows]
    return graph.model(
        "decoder",
        [
            tensor_info("hidden", np.float32, ["N", width]),
            tensor_info("targets", np.int64, ["N"]),
            tensor_info("details", np.bool_, []),
            tensor_info("top", np.int64, [1]),
            tensor_info("distribution", np.bool_, []),
            tensor_info("block_rows", np.int64, []),
        ],
        [tensor_info(*output) for output in [*of_targets, *distribution]],
    )


def _in_blocks(graph: Graph, layers: Layers, vocabulary: int, outputs: list[Output]) -> None:
    rows, count, each = _blocks(graph)
    blocks = [(f"{name}.blocks", dtype, shape) for name, dtype, shape in outputs]
    body = graph.loop(count, "block", blocks)
    _select_rows(body, rows, each)
    logits = layers.logits(body, "block_hidden")  # (R, V)
    body.node("LogSoftmax", [logits], "log_softmax", axis=-1)
    second = body.constant([1], np.int64)
    column = body.node("Unsqueeze", ["block_targets", second], "target_column")  # (R, 1)
    body.node("GatherElements", ["log_softmax", column], "logprob_column", axis=1)
    body.node("Squeeze", ["logprob_column", second], "logprobs.blocks.each")
    _details(body, vocabulary)
    _top(body)
    for name, _, _ in [*DETAILS, *TOP]:
        body.node("Identity", [name], f"{name}.blocks.each")
    body.close()
    for name, _, shape in outputs:
        _join(graph, f"{name}.blocks", rows, name, len(shape))


def _blocks(graph: Graph) -> tuple[str, str, str]:
    """Return the number of rows (1,), the number of blocks and the rows of each block.

    There are as few blocks as possible, all of the same size, so that less than one row per block
    is computed in vain. A whole distribution has no blocks.
    """
    one = graph.constant(1, np.int64)
    rows = graph.node("Shape", ["hidden"], start=0, end=1)
    scalar = graph.node("Squeeze", [rows])
    count = graph.node("Max", [_quotient(graph, scalar, "block_rows", one), one])
    each = _quotient(graph, scalar, count, one)
    return rows, graph.node("Where", ["distribution", graph.constant(0, np.int64), count]), each


def _quotient(graph: Graph, a: str, b: str, one: str) -> str:
    """Return a ÷ b, rounded up."""
    return graph.node("Div", [graph.node("Sub", [graph.node("Add", [a, b]), one]), b])


def _select_rows(body: Loop, rows: str, each: str) -> None:
    """Select the rows of one iteration. After the last row it repeats, and `_join` drops it."""
    zero, one = body.constant(0, np.int64), body.constant(1, np.int64)
    offsets = body.node("Range", [zero, each, one])
    indices = body.node("Add", [body.node("Mul", [body.index, each]), offsets])
    inside = body.node("Min", [indices, body.node("Sub", [rows, one])])
    body.node("Gather", ["hidden", inside], "block_hidden")
    body.node("Gather", ["targets", inside], "block_targets")


def _join(graph: Graph, blocks: str, rows: str, output: str, axes: int) -> None:
    """Reshape (blocks, R, …) to (N, …), without the repeated rows at the end."""
    if axes > 1:
        flat = graph.node("Flatten", [blocks], axis=2)
    else:
        flat = graph.node("Reshape", [blocks, graph.constant([-1], np.int64)])
    zero = graph.constant([0], np.int64)
    graph.node("Slice", [flat, zero, rows, zero], output)


def _details(body: Graph, vocabulary: int) -> None:
    """Add the ranks and entropies.

    rank = 1 + the number of more probable words + the number of equally probable words with a lower
    id; entropy = −Σ q log q in nats.
    """
    branch = body.branch("details", "details", DETAILS)
    axis = branch.constant([1], np.int64)
    above = branch.node("Greater", ["log_softmax", "logprob_column"])
    start, step = branch.constant(0, np.int64), branch.constant(1, np.int64)
    ids = branch.node("Range", [start, branch.constant(vocabulary, np.int64), step])
    lower = branch.node("Less", [ids, "target_column"])
    equal = branch.node("Equal", ["log_softmax", "logprob_column"])
    ahead = branch.node("Or", [above, branch.node("And", [equal, lower])])
    ones = branch.node("Cast", [ahead], to=TensorProto.INT32)
    count = branch.node("ReduceSum", [ones, axis], keepdims=0)
    rank = branch.node("Add", [count, branch.constant(1, np.int32)])
    branch.node("Cast", [rank], "ranks.asked", to=TensorProto.INT64)
    probabilities = branch.node("Exp", ["log_softmax"])
    products = branch.node("Mul", [probabilities, "log_softmax"])
    total = branch.node("ReduceSum", [products, axis], keepdims=0)
    branch.node("Neg", [total], "entropies.asked")
    branch.close()


def _top(body: Graph) -> None:
    """Add the `top` most probable words, the most probable first, equal ones by ascending id."""
    positive = body.node("Greater", ["top", body.constant([0], np.int64)])
    branch = body.branch(body.node("Squeeze", [positive]), "top", TOP)
    names = ["top_logprobs.asked", "top_ids.asked"]
    branch.nodes("TopK", ["log_softmax", "top"], names, axis=1)
    branch.close()
