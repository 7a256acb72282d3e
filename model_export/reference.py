"""The model once more, in numpy and float64, from the equations of an LSTM.

It shares no code with torch or onnxruntime, so that an error of either shows. Float64 holds about
nine more digits than float32: what float32 differs from it is float32's error.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from model_export.layers import Floats
from train.model.lstm import TiedLSTM

Doubles = NDArray[np.float64]
Ids = NDArray[np.int64]

PARTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


class DoubleLSTM:
    """T steps, B sequences, N packed tokens, D embedding, V vocabulary, S state size."""

    def __init__(self, weights: Mapping[str, Doubles]) -> None:
        """`weights` are a checkpoint's, under torch's names, the gates in torch's order."""
        self._weights = weights
        self._embedding = weights["embedding.weight"]  # (V, D)
        layers = sum(name.endswith("bias_ih_l0") for name in weights)
        self._layers = [[weights[f"layers.{i}.{part}"] for part in PARTS] for i in range(layers)]

    @classmethod
    def of(cls, model: TiedLSTM) -> "DoubleLSTM":
        named = model.state_dict().items()
        return cls({name: value.cpu().numpy().astype(np.float64) for name, value in named})

    def rounded(self, random: np.random.Generator, unit: float) -> "DoubleLSTM":
        """Return the model with every weight changed at random by at most a share of `unit`."""
        return DoubleLSTM(
            {
                name: values * (1 + random.uniform(-unit, unit, values.shape))
                for name, values in self._weights.items()
            }
        )

    def read(self, ids: Ids, lengths: Sequence[int], states: Floats) -> tuple[Doubles, Doubles]:
        """Right-padded ids (B, T) from states (B, S) → hidden vectors (N, D) of the real tokens,
        sequence after sequence, and the states (B, S) after them.
        """
        real = np.arange(ids.shape[1]) < np.array(lengths)[:, None]  # (B, T)
        x = self._embedding[ids]  # (B, T, D)
        left, ends = states.astype(np.float64), []
        for w, r, input_bias, recurrent_bias in self._layers:
            width = r.shape[1]
            h, c, left = left[:, :width], left[:, width : 2 * width], left[:, 2 * width :]
            gates = x @ w.T + input_bias + recurrent_bias  # (B, T, 4H)
            outputs = []
            for step in range(ids.shape[1]):
                i, f, g, o = np.split(gates[:, step] + h @ r.T, 4, axis=1)
                cell = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
                here = real[:, step, None]
                c, h = np.where(here, cell, c), np.where(here, _sigmoid(o) * np.tanh(cell), h)
                outputs.append(h)
            x = np.stack(outputs, axis=1)  # (B, T, H)
            ends += [h, c]
        return x[real], np.concatenate(ends, axis=1)

    def log_distribution(self, hidden: Doubles) -> Doubles:
        """(N, D) → (N, V)."""
        logits = hidden @ self._embedding.T + self._weights["output_bias"]
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        result: Doubles = logits
        return result


def _sigmoid(x: Doubles) -> Doubles:
    result: Doubles = (1 + np.tanh(x / 2)) / 2  # never overflows
    return result
