"""An independent LSTM in numpy and double precision, written from the equations."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_export.export import Precision, export
from service.bundle import Bundle
from service.inference.engine import OnnxEngine
from tests.support.tiny_training import write_checkpoint
from train.config import ModelConfig
from train.model.lstm import TiedLSTM

Doubles = NDArray[np.float64]
Ids = NDArray[np.int64]


class NumpyLSTM:
    """The reference model, with gates in PyTorch's order: input, forget, cell, output."""

    def __init__(self, model: TiedLSTM) -> None:
        named = {k: v.numpy().astype(np.float64) for k, v in model.state_dict().items()}
        self.embedding, self.bias = named["embedding.weight"], named["output_bias"]
        parts = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        count = sum(name.endswith("bias_ih_l0") for name in named)
        self.layers = [[named[f"layers.{i}.{part}"] for part in parts] for i in range(count)]

    def run(self, ids: Ids, state: Doubles) -> tuple[Doubles, Doubles]:
        """Return hidden vectors (T, D) and the final state (S,) of ids (T,) after a state (S,)."""
        x = self.embedding[ids]  # (T, D)
        state, ends = state.astype(np.float64), []
        for w, r, bw, br in self.layers:
            width = r.shape[1]
            h, c, state = state[:width], state[width : 2 * width], state[2 * width :]
            outputs = []
            for step in x:
                i, f, g, o = np.split(w @ step + r @ h + bw + br, 4)
                c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
                h = _sigmoid(o) * np.tanh(c)
                outputs.append(h)
            x = np.array(outputs)  # (T, H)
            ends += [h, c]
        return x, np.concatenate(ends)

    def log_distribution(self, hidden: Doubles) -> Doubles:
        """Return the log-distributions (N, V) of hidden vectors (N, D)."""
        logits = hidden @ self.embedding.T + self.bias
        largest = logits.max(axis=1, keepdims=True)
        result: Doubles = (
            logits - largest - np.log(np.exp(logits - largest).sum(axis=1, keepdims=True))
        )
        return result


def _sigmoid(x: Doubles) -> Doubles:
    result: Doubles = 1 / (1 + np.exp(-x))
    return result


class Exported:
    """A random model in torch, in numpy, and as an exported bundle."""

    def __init__(
        self, folder: Path, config: ModelConfig, vocabulary: int = 50, seed: int = 0
    ) -> None:
        self.vocabulary = vocabulary
        self.checkpoint, self.model = write_checkpoint(
            folder / "checkpoint", config, vocabulary, seed
        )
        self.numpy = NumpyLSTM(self.model)
        self.folder = folder

    def bundle(self, precision: Precision = "float32") -> Path:
        path = self.folder / precision
        if not path.exists():
            export(self.checkpoint, path, precision)
        return path

    def engine(self, precision: Precision = "float32") -> OnnxEngine:
        return OnnxEngine(Bundle.load(self.bundle(precision)))
