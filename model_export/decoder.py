"""The decoder graph: hidden (N, D), targets (N) → what is asked about each target.

    always            logprobs (N), log_distribution (N, V)
    with `details`    ranks (N), entropies (N)
    with `top` > 0    top_ids and top_logprobs (N, top)

What is not asked for is not computed: ranks, entropies and the largest words stand in branches.
"""

import numpy as np
from onnx import TensorProto

from model_export.graph import Graph, Output, tensor_info
from model_export.layers import Layers
from model_export.weights import WeightsFile

DETAILS: list[Output] = [("ranks", np.int64, ["N"]), ("entropies", np.float32, ["N"])]
TOP: list[Output] = [("top_ids", np.int64, ["N", "K"]), ("top_logprobs", np.float32, ["N", "K"])]


def build_decoder(layers: Layers, width: int, vocabulary: int, weights: WeightsFile) -> bytes:
    graph = Graph(weights)
    logits = layers.logits(graph, "hidden")  # (N, V)
    graph.node("LogSoftmax", [logits], "log_distribution", axis=-1)
    second = graph.constant([1], np.int64)
    column = graph.node("Unsqueeze", ["targets", second], "target_column")  # (N, 1)
    graph.node("GatherElements", ["log_distribution", column], "logprob_column", axis=1)
    graph.node("Squeeze", ["logprob_column", second], "logprobs")
    _details(graph, vocabulary)
    _top(graph)
    outputs: list[Output] = [
        ("log_distribution", np.float32, ["N", vocabulary]),
        ("logprobs", np.float32, ["N"]),
        *DETAILS,
        *TOP,
    ]
    return graph.model(
        "decoder",
        [
            tensor_info("hidden", np.float32, ["N", width]),
            tensor_info("targets", np.int64, ["N"]),
            tensor_info("details", np.bool_, []),
            tensor_info("top", np.int64, [1]),
        ],
        [tensor_info(*output) for output in outputs],
    )


def _details(graph: Graph, vocabulary: int) -> None:
    """Rank = 1 + the words more probable + the equally probable ones of a lower id;
    entropy = −Σ q log q.
    """
    branch = graph.if_asked("details", "details", DETAILS)
    axis = branch.constant([1], np.int64)
    above = branch.node("Greater", ["log_distribution", "logprob_column"])
    start, step = branch.constant(0, np.int64), branch.constant(1, np.int64)
    ids = branch.node("Range", [start, branch.constant(vocabulary, np.int64), step])
    lower = branch.node("Less", [ids, "target_column"])
    equal = branch.node("Equal", ["log_distribution", "logprob_column"])
    ahead = branch.node("Or", [above, branch.node("And", [equal, lower])])
    ones = branch.node("Cast", [ahead], to=TensorProto.INT32)
    count = branch.node("ReduceSum", [ones, axis], keepdims=0)
    rank = branch.node("Add", [count, branch.constant(1, np.int32)])
    branch.node("Cast", [rank], "ranks.asked", to=TensorProto.INT64)
    probabilities = branch.node("Exp", ["log_distribution"])
    products = branch.node("Mul", [probabilities, "log_distribution"])
    total = branch.node("ReduceSum", [products, axis], keepdims=0)
    branch.node("Neg", [total], "entropies.asked")
    graph.close_if(branch)


def _top(graph: Graph) -> None:
    """The `top` most probable words, largest first, equal ones by rising id."""
    positive = graph.node("Greater", ["top", graph.constant([0], np.int64)])
    branch = graph.if_asked(graph.node("Squeeze", [positive]), "top", TOP)
    names = ["top_logprobs.asked", "top_ids.asked"]
    branch.nodes("TopK", ["log_distribution", "top"], names, axis=1)
    graph.close_if(branch)
