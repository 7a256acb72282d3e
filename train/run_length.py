"""The length of a run: when it ends, and how much of it is done and left."""

import sys

from train.config import TrainConfig
from train.data.streams import Streams
from train.position import Position


class RunLength:
    """The epochs, `patience` and `max_steps` of a configuration, over streams of a given length."""

    def __init__(self, config: TrainConfig, streams: Streams) -> None:
        self._config = config
        self._streams = streams

    def is_over(self, position: Position) -> bool:
        """Return whether no epoch follows the epochs that are finished."""
        since_best = position.epoch - position.best_epoch
        is_last = position.epoch >= self._config.epochs or since_best >= self._config.patience
        return is_last or self._steps_left(position) <= 0

    def epoch_steps(self, position: Position) -> int:
        """Return the number of steps at which this epoch ends: all of them, or `max_steps`."""
        return min(self._streams.steps, position.epoch_step + self._steps_left(position))

    def fraction_done(self, position: Position) -> float:
        """Return the finished part of the run, 0 to 1, of which the learning rate is a function."""
        read = self._streams.tokens_before(position.epoch_step) / self._streams.stream_length
        done = (position.epoch + read) / self._config.epochs
        if self._config.max_steps is not None:
            done = max(done, position.step / self._config.max_steps)
        return done

    def tokens_after(self, position: Position, steps: int) -> int:
        """Return the most tokens to train on after this epoch's first `steps` steps."""
        epochs = self._config.epochs - position.epoch - 1
        left = self._steps_left(position) - (steps - position.epoch_step)
        length = min(epochs * self._streams.stream_length, left * self._config.bptt_length)
        return length * self._config.batch_size

    def _steps_left(self, position: Position) -> int:
        """Return the number of steps that `max_steps` allows; a huge number without it."""
        limit = self._config.max_steps
        return sys.maxsize // 2 if limit is None else limit - position.step
