"""Layers with weights and activations in float32, of standard ONNX operators."""

import numpy as np

from model_export.graph import Graph
from model_export.layers import array, lstm_arrays
from train.model.lstm import TiedLSTM


class Float32Layers:
    """Implements `Layers`."""

    def __init__(self, model: TiedLSTM) -> None:
        self._embedding = array(model.embedding.weight)
        self._bias = array(model.output_bias)
        self._layers = [lstm_arrays(layer) for layer in model.lstm_layers()]

    def embed(self, graph: Graph, ids: str) -> str:
        return graph.node("Gather", [graph.weight("embedding", self._embedding), ids])

    def lstm(self, graph: Graph, index: int, x: str, h: str, c: str) -> tuple[str, str, str]:
        w, r, bw, br = self._layers[index]
        name = f"layer{index}"
        first, second = graph.constant([0], np.int64), graph.constant([1], np.int64)
        inputs = [
            x,
            graph.weight(f"{name}.W", w[None]),  # (1, 4H, D)
            graph.weight(f"{name}.R", r[None]),  # (1, 4H, H)
            graph.weight(f"{name}.B", np.concatenate([bw, br])[None]),  # (1, 8H)
            "lengths",
            graph.node("Unsqueeze", [h, first]),
            graph.node("Unsqueeze", [c, first]),
        ]
        outputs = [f"{name}.{part}" for part in ("outputs", "h", "c")]
        graph.nodes("LSTM", inputs, outputs, hidden_size=r.shape[1])
        return (
            graph.node("Squeeze", [outputs[0], second]),
            graph.node("Squeeze", [outputs[1], first]),
            graph.node("Squeeze", [outputs[2], first]),
        )

    def hidden(self, graph: Graph, outputs: str) -> str:
        width = self._embedding.shape[1]
        return graph.node("Reshape", [outputs, graph.constant([-1, width], np.int64)])

    def logits(self, graph: Graph, hidden: str) -> str:
        embedding = graph.weight("embedding", self._embedding)  # (V, D), once in the file
        bias = graph.weight("output_bias", self._bias)
        return graph.node("Gemm", [hidden, embedding, bias], transB=1)
