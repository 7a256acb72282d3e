"""A second implementation of the model, in numpy and float64, from the equations of an LSTM.

It shares no code with torch or onnxruntime, so that an error of either is found. Float64 has about
nine more digits than float32. The difference between both is therefore the error of float32.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.arrays import Floats, Ids
from train.model.lstm import TiedLSTM

Doubles = NDArray[np.float64]

PARTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


class DoubleLSTM:
    """An LSTM in float64.

    T steps, B sequences, N packed tokens, D embedding, V vocabulary, S state size, H hidden.
    """

    def __init__(self, weights: Mapping[str, Doubles]) -> None:
        """`weights` have torch's names and torch's order of gates."""
        self._weights = weights
        self._embedding = weights["embedding.weight"]  # (V, D)
        layers = sum(name.endswith("bias_ih_l0") for name in weights)
        self._layers = [[weights[f"layers.{i}.{part}"] for part in PARTS] for i in range(layers)]

    @classmethod
    def of(cls, model: TiedLSTM) -> "DoubleLSTM":
        """Return a float64 copy of a torch model."""
        named = model.state_dict().items()
        return cls({name: value.cpu().numpy().astype(np.float64) for name, value in named})

    def rounded(self, random: np.random.Generator, unit: float) -> "DoubleLSTM":
        """Return the model with every weight w changed at random by at most `unit` · |w|."""
        return DoubleLSTM(
            {
                name: values * (1 + random.uniform(-unit, unit, values.shape))
                for name, values in self._weights.items()
            }
        )

    def forward(self, ids: Ids, lengths: Sequence[int], states: Floats) -> tuple[Doubles, Doubles]:
        """Return hidden vectors (N, D) of the real tokens of right-padded ids (B, T), sequence
        after sequence, and the states (B, S) after them. Start from `states` (B, S).
        """
        real = np.arange(ids.shape[1]) < np.array(lengths)[:, None]  # (B, T)
        x = self._embedding[ids]  # (B, T, D)
        rest, ends = states.astype(np.float64), []
        for w, r, input_bias, recurrent_bias in self._layers:
            width = r.shape[1]
            h, c, rest = rest[:, :width], rest[:, width : 2 * width], rest[:, 2 * width :]
            gates = x @ w.T + input_bias + recurrent_bias  # (B, T, 4H)
            outputs = []
            for step in range(ids.shape[1]):
                i, f, g, o = np.split(gates[:, step] + h @ r.T, 4, axis=1)
                cell = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
                is_real = real[:, step, None]
                c = np.where(is_real, cell, c)
                h = np.where(is_real, _sigmoid(o) * np.tanh(cell), h)
                outputs.append(h)
            x = np.stack(outputs, axis=1)  # (B, T, H)
            ends += [h, c]
        return x[real], np.concatenate(ends, axis=1)

    def log_distribution(self, hidden: Doubles) -> Doubles:
        """Return log-probabilities (N, V) in nats of hidden vectors (N, D)."""
        logits = hidden @ self._embedding.T + self._weights["output_bias"]
        logits -= logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        result: Doubles = logits
        return result


def _sigmoid(x: Doubles) -> Doubles:
    result: Doubles = (1 + np.tanh(x / 2)) / 2  # never overflows
    return result
