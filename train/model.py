"""The model: a weight-tied LSTM language model.

    ids (T, B) → E[ids] → dropout → LSTM × L → dropout → h Eᵀ + b → logits (T, B, V)

E (V × D) is one parameter. As the embedding it holds a row for each word that comes in; as the
softmax layer the same row is what the last hidden state is compared with (Press & Wolf 2016,
Inan et al. 2016). The two hold most parameters of a word model, and sharing them improves it.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.config import ModelConfig

LayerState = tuple[Tensor, Tensor]  # hidden and cell, each (1, B, H)
State = list[LayerState]


class TiedLSTM(nn.Module):
    def __init__(self, config: ModelConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        sizes = layer_sizes(config)
        self.embedding = nn.Embedding(vocabulary_size, config.embedding_size)
        self.layers = nn.ModuleList(nn.LSTM(inputs, width) for inputs, width in sizes)
        self.output_bias = nn.Parameter(torch.zeros(vocabulary_size))
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        if not config.tied:
            self.softmax_matrix = nn.Parameter(self.embedding.weight.detach().clone())
            nn.init.uniform_(self.softmax_matrix, -0.1, 0.1)

    def forward(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Ids (T, B) and a state to hidden vectors (T, B, D) and the state after them.

        The hidden vectors have their output dropout already; `logits` makes them scores.
        """
        config = self.config
        hidden = self._dropout(self.embedding(ids), config.dropout_input)  # (T, B, D)
        new_state: State = []
        for index, (layer, start) in enumerate(zip(self.layers, state, strict=True)):
            hidden, (h, c) = layer(hidden, start)
            new_state.append((h.float(), c.float()))
            last = index == len(self.layers) - 1
            hidden = self._dropout(hidden, config.dropout_output if last else config.dropout_hidden)
        return hidden, new_state

    def logits(self, hidden: Tensor) -> Tensor:
        """(…, D) → (…, V), by the embedding matrix itself unless the model is untied."""
        matrix = self.embedding.weight if self.config.tied else self.softmax_matrix
        return functional.linear(hidden, matrix, self.output_bias)

    def lstm_layers(self) -> list[nn.LSTM]:
        return [layer for layer in self.layers if isinstance(layer, nn.LSTM)]

    def zero_state(self, batch_size: int) -> State:
        zeros = self.output_bias.new_zeros
        return [
            (zeros(1, batch_size, width), zeros(1, batch_size, width))
            for _, width in layer_sizes(self.config)
        ]

    def _dropout(self, x: Tensor, probability: float) -> Tensor:
        return functional.dropout(x, probability, self.training)


def layer_sizes(config: ModelConfig) -> list[tuple[int, int]]:
    """Input and output width of every LSTM layer; the first reads and the last writes D."""
    inner = [config.hidden_size] * (config.layers - 1)
    widths = [config.embedding_size, *inner, config.embedding_size]
    return list(pairwise(widths))


def detach(state: Sequence[LayerState]) -> State:
    """The same state, cut off from the graph: the left edge of truncated back-propagation."""
    return [(h.detach(), c.detach()) for h, c in state]


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
