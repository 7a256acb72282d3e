"""A trained model whose distributions another model learns (distillation, Hinton et al. 2015)."""

from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from train.checkpoint import load_model
from train.config import TeacherConfig
from train.errors import ConfigError
from train.model.lstm import State, mask_state


class TeacherOutput(NamedTuple):
    """A teacher's hidden vectors of N tokens, and its softmax layer to make logits of them."""

    hidden: Tensor  # (N, D)
    matrix: Tensor  # (V, D)
    bias: Tensor  # (V,)

    def rows(self, rows: slice) -> "TeacherOutput":
        return TeacherOutput(self.hidden[rows], self.matrix, self.bias)

    def logits(self) -> Tensor:
        """Return the logits (N, V)."""
        return functional.linear(self.hidden, self.matrix, self.bias)


class Teacher:
    """A teacher and its recurrent state of every stream."""

    def __init__(
        self, config: TeacherConfig, tokenizer: Tokenizer, batch_size: int, device: torch.device
    ) -> None:
        """Raises CheckpointError; ConfigError if the teacher has another vocabulary."""
        self._model, _, own = load_model(Path(config.checkpoint))
        if own.get_vocab() != tokenizer.get_vocab():
            raise ConfigError(
                f"loss.teacher.checkpoint: {config.checkpoint} has another vocabulary; train "
                "it on the same text with the same [tokenizer]"
            )
        self._model = self._model.to(device)
        self._batch_size = batch_size
        self.reset_state()

    def reset_state(self) -> None:
        """Set all streams to the zero state."""
        self.state: State = self._model.zero_state(self._batch_size)

    @torch.no_grad()
    def forward(self, inputs: Tensor, kept: Tensor) -> TeacherOutput:
        """Read ids (T, B), carry the state on, and return the output of all T · B tokens.

        Streams that `kept` (B,) marks continue from their state; the others start from zero.
        """
        hidden, self.state = self._model(inputs, mask_state(self.state, kept))
        rows = hidden.flatten(0, 1)
        return TeacherOutput(
            rows, self._model.output_matrix.detach(), self._model.output_bias.detach()
        )
