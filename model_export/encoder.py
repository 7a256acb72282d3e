"""The encoder graph: ids (B, T), lengths (B), rows (N), state (B, S) → hidden (N, D),
new_state (B, S).

`rows` selects the real tokens of the padded (T · B) outputs. A state is h and c of every layer,
concatenated, the last layer's at the end.
"""

import numpy as np

from model_export.graph import Graph, tensor_info
from model_export.layers import Layers
from model_export.weights import WeightsFile


def build_encoder(layers: Layers, widths: list[int], weights: WeightsFile) -> bytes:
    """Return the serialised graph. `widths` are the layers' hidden sizes H, of which the last is D;
    S = 2 · ΣH. Tensors go to `weights`.
    """
    graph = Graph(weights)
    by_step = graph.node("Transpose", ["ids"], perm=[1, 0])  # (T, B)
    outputs = layers.embed(graph, by_step)
    states = _split_state(graph, widths)
    new_states: list[str] = []
    for index in range(len(widths)):
        outputs, *new = layers.lstm(graph, index, outputs, *states[index])
        new_states += new
    graph.node("Gather", [layers.hidden(graph, outputs), "rows"], "hidden")
    graph.node("Concat", new_states, "new_state", axis=1)
    size = 2 * sum(widths)
    return graph.model(
        "encoder",
        [
            tensor_info("ids", np.int64, ["B", "T"]),
            tensor_info("lengths", np.int32, ["B"]),
            tensor_info("rows", np.int64, ["N"]),
            tensor_info("state", np.float32, ["B", size]),
        ],
        [
            tensor_info("hidden", np.float32, ["N", widths[-1]]),
            tensor_info("new_state", np.float32, ["B", size]),
        ],
    )


def _split_state(graph: Graph, widths: list[int]) -> list[tuple[str, str]]:
    """Split the state (B, S) into h and c of every layer, each (B, H)."""
    sizes = [width for width in widths for _ in ("h", "c")]
    names = [f"state.{index}" for index in range(len(sizes))]
    graph.nodes("Split", ["state", graph.constant(sizes, np.int64)], names, axis=1)
    return list(zip(names[::2], names[1::2], strict=True))
