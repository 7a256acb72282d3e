"""The interface of a precision: the operators in which weights meet activations."""

from typing import Protocol

import numpy as np
import torch
from torch import nn

from model_export.graph import Graph
from service.arrays import Floats


class Layers(Protocol):
    """Adds the layers of a model to a graph.

    T steps, B sequences, N packed rows, D embedding, V vocabulary, H hidden.
    """

    def embed(self, graph: Graph, ids: str) -> str:
        """Ids (T, B) → embedded words (T, B, D), or wider if the first `lstm` needs that."""
        ...

    def lstm(self, graph: Graph, index: int, x: str, h: str, c: str) -> tuple[str, str, str]:
        """Input (T, B, ·), states (B, H) → outputs (T, B, ·), states (B, H) after every
        sequence's length.
        """
        ...

    def hidden(self, graph: Graph, outputs: str) -> str:
        """The last outputs (T, B, ·) → (T · B, D)."""
        ...

    def logits(self, graph: Graph, hidden: str) -> str:
        """Hidden vectors (N, D) → logits (N, V)."""
        ...


def array(tensor: torch.Tensor) -> Floats:
    """Return a tensor as a numpy array of float32."""
    return tensor.detach().cpu().numpy().astype(np.float32)


def lstm_arrays(layer: nn.LSTM) -> tuple[Floats, Floats, Floats, Floats]:
    """Return W (4H, D), R (4H, H) and their biases (4H,), with the gates in ONNX's order.

    PyTorch stacks them as input, forget, cell, output; ONNX as input, output, forget, cell.
    """
    named = {name: array(value) for name, value in layer.named_parameters()}
    stacked = (named[key] for key in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"))
    w, r, bw, br = (_reorder(values) for values in stacked)
    return w, r, bw, br


def _reorder(stacked: Floats) -> Floats:
    i, f, c, o = np.split(stacked, 4)
    return np.concatenate([i, o, f, c])
