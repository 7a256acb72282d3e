"""The loss of a training step: the cross-entropy of the next word plus the configured terms.

The added terms act in training alone: the served model is the plain tied LSTM.
"""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from train.config import LossConfig
from train.model.loss import (
    block_rows,
    dense_cross_entropy,
    linear_cross_entropy,
    sparse_cross_entropy,
)
from train.model.lstm import State, TiedLSTM
from train.model.teacher import TeacherOutput


class Objective(nn.Module):
    """A module around the model, so that DistributedDataParallel averages all its gradients."""

    def __init__(
        self, model: TiedLSTM, config: LossConfig, compute_dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.compute_dtype = compute_dtype
        if config.past_decode:
            self.past = PastDecoder(model.config.embedding_size, len(model.output_bias))

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor,
        state: State,
        teacher_output: TeacherOutput | None = None,
        weight_masks: Generator | None = None,
    ) -> tuple[Tensor, Tensor, State]:
        """Return the loss, the mean cross-entropy in nats without any added term (it has no
        gradient), and the state after the inputs.

        `inputs` and `targets` are (T, B) int64.
        """
        config = self.config
        with self._autocast(inputs):
            hidden, state = self.model(inputs, state, weight_masks)  # (T, B, D)
        dropped = self.model.drop_output(hidden)  # (T, B, D)
        rows, target_ids = dropped.flatten(0, 1), targets.flatten()
        if teacher_output is None and not config.past_decode:
            matrix, bias = self.model.output_matrix, self.model.output_bias
            loss, cross_entropy = linear_cross_entropy(
                rows, matrix, bias, target_ids, config.label_smoothing, self.compute_dtype
            )
        else:
            loss, cross_entropy = self._dense_losses(
                rows, inputs.flatten(), target_ids, teacher_output
            )
        if config.activation:
            loss = loss + config.activation * dropped.float().pow(2).mean()
        if config.temporal_activation and len(hidden) > 1:
            loss = loss + config.temporal_activation * hidden.float().diff(dim=0).pow(2).mean()
        return loss, cross_entropy.detach(), state

    def _autocast(self, on: Tensor) -> torch.autocast:
        use_bf16 = self.compute_dtype != torch.float32
        return torch.autocast(on.device.type, self.compute_dtype, enabled=use_bf16)

    def _dense_losses(
        self, rows: Tensor, inputs: Tensor, targets: Tensor, teacher_output: TeacherOutput | None
    ) -> tuple[Tensor, Tensor]:
        """Return the mean loss and the mean cross-entropy where a term needs whole distributions.

        The hidden vectors are `rows` (N, D). Their logits are computed block by block, and again in
        the backward pass, because all of them would not fit in memory.
        """
        size = block_rows(len(self.model.output_bias))
        loss = rows.new_zeros((), dtype=torch.float32)
        cross_entropy = loss
        for begin in range(0, len(rows), size):
            block = slice(begin, begin + size)
            teacher_rows = None if teacher_output is None else teacher_output.rows(block)
            sums = checkpoint(
                self._block_sums,
                rows[block],
                inputs[block],
                targets[block],
                teacher_rows,
                use_reentrant=False,
            )
            loss, cross_entropy = loss + sums[0], cross_entropy + sums[1].detach()
        return loss / len(rows), cross_entropy / len(rows)

    def _block_sums(
        self, rows: Tensor, inputs: Tensor, targets: Tensor, teacher_output: TeacherOutput | None
    ) -> tuple[Tensor, Tensor]:
        """Return the summed loss and the summed cross-entropy of one block of rows (N, D)."""
        config = self.config
        with self._autocast(rows):
            logits = self.model.logits(rows).float()  # (N, V)
            past = self.past(logits, self.model.output_matrix) if config.past_decode else None
        losses = cross_entropy = sparse_cross_entropy(logits, targets)
        if config.label_smoothing:
            uniform = -functional.log_softmax(logits, -1).mean(-1)
            losses = (1 - config.label_smoothing) * losses + config.label_smoothing * uniform
        if teacher_output is not None and config.teacher is not None:
            temperature = config.teacher.temperature
            probabilities = functional.softmax(teacher_output.logits() / temperature, -1)
            # Multiply by temperature², because softened gradients shrink by that factor.
            dense = dense_cross_entropy(logits / temperature, probabilities) * temperature**2
            losses = (1 - config.teacher.weight) * losses + config.teacher.weight * dense
        if past is not None:
            losses = losses + config.past_decode * sparse_cross_entropy(past.float(), inputs)
        return losses.sum(), cross_entropy.sum()


class PastDecoder(nn.Module):
    """A decoder of the last input word from the distribution of the next one (PDR, Brahma 2018):

    r = tanh(A · Eᵀ softmax(logits) + a),    past logits = E r + b
    """

    def __init__(self, embedding_size: int, vocabulary_size: int) -> None:
        super().__init__()
        self.map = nn.Linear(embedding_size, embedding_size)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))

    def forward(self, logits: Tensor, matrix: Tensor) -> Tensor:
        """Return logits (N, V) of the last input word, from logits (N, V) of the next word and the
        tied matrix (V, D).
        """
        expected = functional.softmax(logits, -1) @ matrix  # (N, D)
        return functional.linear(torch.tanh(self.map(expected)), matrix, self.bias)
