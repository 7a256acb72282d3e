"""What a step minimises: the cross-entropy of the next word, and what the configuration adds.

All of it is training-only: what is served is the plain tied LSTM.
"""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from train.config import LossConfig
from train.model.loss import dense_cross_entropy, sparse_cross_entropy
from train.model.lstm import State, TiedLSTM
from train.model.softmax_loss import block_rows, linear_cross_entropy
from train.model.teacher import TeacherOutput


class Objective(nn.Module):
    def __init__(
        self, model: TiedLSTM, config: LossConfig, multiply_in: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.multiply_in = multiply_in
        if config.past_decode:
            self.past = PastDecoder(model.config.embedding_size, len(model.output_bias))

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor,
        state: State,
        lesson: TeacherOutput | None = None,
        weight_masks: Generator | None = None,
    ) -> tuple[Tensor, Tensor, State]:
        """Inputs and targets (T, B) → the loss, the plain mean cross-entropy in nats (no gradient),
        and the state after the inputs.
        """
        config = self.config
        narrow = self.multiply_in != torch.float32
        with torch.autocast(inputs.device.type, self.multiply_in, enabled=narrow):
            raw, state = self.model(inputs, state, weight_masks)
        dropped = self.model.drop_output(raw)  # (T, B, D)
        rows, wanted = dropped.flatten(0, 1), targets.flatten()
        if lesson is None and not config.past_decode:
            matrix, bias = self.model.output_matrix, self.model.output_bias
            loss, plain = linear_cross_entropy(
                rows, matrix, bias, wanted, config.label_smoothing, self.multiply_in
            )
        else:
            loss, plain = self._dense_losses(rows, inputs.flatten(), wanted, lesson)
        if config.activation:
            loss = loss + config.activation * dropped.float().pow(2).mean()
        if config.temporal_activation and len(raw) > 1:
            loss = loss + config.temporal_activation * raw.float().diff(dim=0).pow(2).mean()
        return loss, plain.detach(), state

    def _dense_losses(
        self, rows: Tensor, inputs: Tensor, targets: Tensor, lesson: TeacherOutput | None
    ) -> tuple[Tensor, Tensor]:
        """Losses that need the whole distribution, in blocks whose logits are computed again on the
        way back rather than kept.
        """
        size = block_rows(len(self.model.output_bias))
        total = rows.new_zeros((), dtype=torch.float32)
        plain = total
        for begin in range(0, len(rows), size):
            block = slice(begin, begin + size)
            known = None if lesson is None else lesson.rows(block)
            parts = checkpoint(
                self._block, rows[block], inputs[block], targets[block], known, use_reentrant=False
            )
            total, plain = total + parts[0], plain + parts[1].detach()
        return total / len(rows), plain / len(rows)

    def _block(
        self, rows: Tensor, inputs: Tensor, targets: Tensor, lesson: TeacherOutput | None
    ) -> tuple[Tensor, Tensor]:
        config = self.config
        narrow = self.multiply_in != torch.float32
        with torch.autocast(rows.device.type, self.multiply_in, enabled=narrow):
            logits = self.model.logits(rows).float()
            past = self.past(logits, self.model.output_matrix) if config.past_decode else None
        losses = plain = sparse_cross_entropy(logits, targets)
        if config.label_smoothing:
            uniform = -functional.log_softmax(logits, -1).mean(-1)
            losses = (1 - config.label_smoothing) * losses + config.label_smoothing * uniform
        if lesson is not None and config.teacher is not None:
            warm = config.teacher.temperature
            wanted = functional.softmax(lesson.logits() / warm, -1)
            # Gradients of the softened distribution shrink by the square of the temperature.
            dense = dense_cross_entropy(logits / warm, wanted) * warm**2
            losses = (1 - config.teacher.weight) * losses + config.teacher.weight * dense
        if past is not None:
            losses = losses + config.past_decode * sparse_cross_entropy(past.float(), inputs)
        return losses.sum(), plain.sum()


class PastDecoder(nn.Module):
    """The word last read, from the distribution of the next (PDR, Brahma 2018):

    r = tanh(A · Eᵀ softmax(logits) + a),    past logits = E r + b
    """

    def __init__(self, embedding_size: int, vocabulary_size: int) -> None:
        super().__init__()
        self.map = nn.Linear(embedding_size, embedding_size)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))

    def forward(self, logits: Tensor, matrix: Tensor) -> Tensor:
        """Logits (N, V) and the tied matrix (V, D) → logits (N, V) of the word before."""
        expected = functional.softmax(logits, -1) @ matrix  # (N, D)
        return functional.linear(torch.tanh(self.map(expected)), matrix, self.bias)
