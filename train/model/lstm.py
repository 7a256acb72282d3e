"""The model: a weight-tied LSTM language model.

    ids (T, B) → E[ids] → dropout → LSTM × L → dropout → h Eᵀ + b → logits (T, B, V)

E (V × D) is one parameter with two uses (Press & Wolf 2016, Inan et al. 2016). The embedding looks
up the row of each input word. The softmax layer compares the last hidden vector with every row.
Both layers hold most parameters of a word model, and sharing them improves its perplexity.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from train.config import ModelConfig
from train.model.dropout import embedding_dropout, locked_dropout, plain_dropout, weight_dropout

LayerState = tuple[Tensor, Tensor]  # hidden and cell, each (1, B, H)
State = list[LayerState]


class TiedLSTM(nn.Module):
    """An LSTM language model. `forward` returns hidden vectors, `logits` scores of words."""

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

    def forward(
        self, ids: Tensor, state: State, weight_masks: Generator | None = None
    ) -> tuple[Tensor, State]:
        """Return hidden vectors (T, B, D) of ids (T, B) from a state, and the state after them.

        In training mode every dropout acts except the output's, which is `drop_output`. The masks
        of recurrent weights are drawn from `weight_masks`, or from torch's default generator.
        """
        config = self.config
        word_dropout = config.dropout_embedding if self.training else 0.0
        hidden = embedding_dropout(self.embedding.weight, ids, word_dropout)  # (T, B, D)
        hidden = self._dropout(hidden, config.dropout_input)
        new_state: State = []
        for index, (layer, start) in enumerate(zip(self.lstm_layers(), state, strict=True)):
            if index:
                hidden = self._dropout(hidden, config.dropout_hidden)
            hidden, h, c = torch.lstm(
                hidden,
                start,
                self._weights(layer, weight_masks),
                has_biases=True,
                num_layers=1,
                dropout=0.0,
                train=self.training,
                bidirectional=False,
                batch_first=False,
            )
            new_state.append((h.float(), c.float()))
        return hidden, new_state

    def drop_output(self, hidden: Tensor) -> Tensor:
        """Return hidden vectors (T, B, D) with the output's dropout, as training scores them."""
        return self._dropout(hidden, self.config.dropout_output)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the scores (…, V) of all words for hidden vectors (…, D)."""
        return functional.linear(hidden, self.output_matrix, self.output_bias)

    @property
    def output_matrix(self) -> Tensor:
        """The softmax matrix (V, D): the embedding matrix itself unless the model is untied."""
        return self.embedding.weight if self.config.tied else self.softmax_matrix

    def lstm_layers(self) -> list[nn.LSTM]:
        """Return the LSTM layers in order."""
        return [layer for layer in self.layers if isinstance(layer, nn.LSTM)]

    def zero_state(self, batch_size: int) -> State:
        zeros = self.output_bias.new_zeros
        return [
            (zeros(1, batch_size, width), zeros(1, batch_size, width))
            for _, width in layer_sizes(self.config)
        ]

    def _weights(self, layer: nn.LSTM, masks: Generator | None) -> list[Tensor]:
        inputs, recurrent, *biases = layer.all_weights[0]
        if self.training:
            dropped = weight_dropout(recurrent, self.config.dropout_weight, masks)
            return [inputs, dropped, *biases]
        return [inputs, recurrent, *biases]

    def _dropout(self, x: Tensor, probability: float) -> Tensor:
        if not self.training:
            return x
        dropout = locked_dropout if self.config.locked_dropout else plain_dropout
        return dropout(x, probability)


def layer_sizes(config: ModelConfig) -> list[tuple[int, int]]:
    """Return the input and output width of every LSTM layer. The outermost widths are D."""
    inner = [config.hidden_size] * (config.layers - 1)
    widths = [config.embedding_size, *inner, config.embedding_size]
    return list(pairwise(widths))


def detach_state(state: Sequence[LayerState]) -> State:
    """Return the state without its history: gradients stop here (truncated back-propagation)."""
    return [(h.detach(), c.detach()) for h, c in state]


def mask_state(state: State, kept: Tensor) -> State:
    """Return the state (1, B, H), with zeros for the streams that `kept` (B,) does not mark."""
    if kept.all():
        return state
    mask = kept[None, :, None].to(state[0][0])
    return [(h * mask, c * mask) for h, c in state]


def parameter_count(model: nn.Module) -> int:
    """Return the number of trainable numbers; a shared matrix counts once."""
    return sum(parameter.numel() for parameter in model.parameters())
