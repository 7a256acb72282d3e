"""A trained model that another one learns from (distillation, Hinton et al. 2015)."""

from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from train.checkpoint import load_model
from train.config import TeacherConfig
from train.errors import ConfigError
from train.model.lstm import State, keep


class TeacherOutput(NamedTuple):
    """What a teacher says of N tokens, before its softmax layer."""

    hidden: Tensor  # (N, D)
    matrix: Tensor  # (V, D)
    bias: Tensor  # (V,)

    def rows(self, rows: slice) -> "TeacherOutput":
        return TeacherOutput(self.hidden[rows], self.matrix, self.bias)

    def logits(self) -> Tensor:
        """(N, V)"""
        return functional.linear(self.hidden, self.matrix, self.bias)


class Teacher:
    def __init__(
        self, config: TeacherConfig, tokenizer: Tokenizer, batch_size: int, device: torch.device
    ) -> None:
        """Raises CheckpointError, and ConfigError for a teacher of another vocabulary."""
        self._model, _, own = load_model(Path(config.checkpoint))
        if own.get_vocab() != tokenizer.get_vocab():
            raise ConfigError(
                f"loss.teacher.checkpoint: {config.checkpoint} has another vocabulary; train "
                "it on the same text with the same [tokenizer]"
            )
        self._model = self._model.to(device)
        self._streams = batch_size
        self.state: State = self._model.zero_state(batch_size)

    def forget(self) -> None:
        self.state = self._model.zero_state(self._streams)

    @torch.no_grad()
    def read(self, inputs: Tensor, kept: Tensor) -> TeacherOutput:
        """Go on with ids (T, B) from the states of the streams `kept` (B,), zero for the others."""
        hidden, self.state = self._model(inputs, keep(self.state, kept))
        rows = hidden.flatten(0, 1)
        return TeacherOutput(
            rows, self._model.output_matrix.detach(), self._model.output_bias.detach()
        )
