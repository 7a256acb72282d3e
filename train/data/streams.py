"""Batches of parallel streams.

Training reads a split as B parallel streams, T tokens of each stream in a step:

    ids      0 1 2 3 4 5 6 7 8 9 10 11 12 …            one array, in the order of the text

    stream 0 | 0  1  2 |  3  4  5 |                    inputs (T, B) of the first step are
    stream 1 | 6  7  8 |  9 10 11 |                    [[0, 6], [1, 7], [2, 8]]; its targets
               step 1     step 2                       [[1, 7], [2, 8], [3, 9]], one token later

The state of a stream is carried from step to step: the model reads the text from left to right,
although gradients stop at the left edge of a step. Random numbers depend on the seed, the epoch and
the step alone: all processes, and resumed runs, draw the same numbers.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.config import TrainConfig
from train.data.corpus import Ids
from train.errors import CorpusError

LOOK_BACK = 512  # tokens; a stream further into its line than this is not reset
SHORT_STEP_CHANCE = 0.05
LENGTH_DEVIATION = 5.0  # tokens, as in Merity et al. 2017
SHORTEST_STEP = 5


class Batch(NamedTuple):
    """Inputs and targets (T, B) int64. `reset` (B,) marks the streams that start from zero."""

    inputs: Tensor
    targets: Tensor
    reset: Tensor


class Streams:
    """A split, cut into B parallel streams of equal length. The remainder is left out."""

    def __init__(
        self, ids: Ids, end: int, config: TrainConfig, rank: int = 0, world_size: int = 1
    ) -> None:
        """Each process reads its own part of the streams.

        Raises CorpusError if the split has too few tokens for `batch_size` streams.
        """
        count = config.batch_size
        self.stream_length = (len(ids) - 1) // count
        if self.stream_length < 1:
            raise CorpusError(
                f"the train split has {len(ids)} tokens, too few for train.batch_size = {count} "
                "streams; use more text or a smaller batch size"
            )
        self._ids = ids
        self._end = end
        self._config = config
        self._starts = np.arange(count) * self.stream_length  # (B,)
        self._own = slice(rank * count // world_size, (rank + 1) * count // world_size)
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Set all streams to their beginnings, or to random places with `partial_shuffle`."""
        self._epoch = epoch
        count = len(self._starts)
        self.positions: NDArray[np.int64] = np.zeros(count, np.int64)
        self._offsets = np.zeros(count, np.int64)
        if self._config.partial_shuffle:
            self._offsets = self._random(0).integers(0, self.stream_length, count)
        self.lengths = self._lengths()
        self._tokens_before = np.concatenate([[0], np.cumsum(self.lengths)])

    @property
    def steps(self) -> int:
        """The number of steps of this epoch."""
        return len(self.lengths)

    def tokens_before(self, step: int) -> int:
        """Return the tokens that each stream reads in the epoch's first `step` steps."""
        return int(self._tokens_before[step])

    def batch(self, step: int) -> Batch:
        """Return the batch of the epoch's step number `step`. Call it for all steps in order."""
        reset = self._restart_lines(step)
        steps = np.arange(self.lengths[step])[:, None]  # (T, 1)
        at = self._starts + (self._offsets + self.positions + steps) % self.stream_length  # (T, B)
        self.positions += self.lengths[step]
        at = at[:, self._own]
        inputs, targets = (torch.from_numpy(self._ids[i].astype(np.int64)) for i in (at, at + 1))
        return Batch(inputs, targets, torch.from_numpy(reset[self._own]))

    def _lengths(self) -> list[int]:
        """Draw the lengths of this epoch's steps, which together read each stream once."""
        typical, left = self._config.bptt_length, self.stream_length
        random = self._random(1)
        lengths: list[int] = []
        while left:
            length = typical
            if self._config.random_bptt:
                mean = typical / 2 if random.random() < SHORT_STEP_CHANCE else typical
                length = max(SHORTEST_STEP, round(random.normal(mean, LENGTH_DEVIATION)))
            lengths.append(min(length, left))
            left -= lengths[-1]
        return lengths

    def _restart_lines(self, step: int) -> NDArray[np.bool_]:
        """Choose streams at random, move them back to the start of their line, and return which
        (B,).
        """
        probability = self._config.state_reset_probability
        reset = np.zeros(len(self._starts), bool)
        if not probability:
            return reset
        chosen = self._random(2, step).random(len(reset)) < probability
        for stream in np.flatnonzero(chosen):
            start = self._starts[stream]
            at = start + (self._offsets[stream] + self.positions[stream]) % self.stream_length
            first = max(start, at - LOOK_BACK)
            ends = np.flatnonzero(self._ids[first : at + 1] == self._end)
            if len(ends):
                self.positions[stream] -= at - first - ends[-1]
                reset[stream] = True
        return reset

    def _random(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng([self._config.seed, self._epoch, *purpose])
