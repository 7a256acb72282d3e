"""The position of a training run: all of its counters that a resumed run needs."""

import math
from dataclasses import dataclass


@dataclass
class Position:
    """Counters of a run, stored in `resume.pt` under these names.

    `epoch` counts finished epochs, `step` optimiser steps over all epochs, `epoch_step` those of
    the current epoch. `seconds` is the time of training and validation. `interval_nats` and
    `interval_tokens` are sums since the last line of the log.
    """

    epoch: int = 0
    step: int = 0
    epoch_step: int = 0
    seconds: float = 0.0
    best_perplexity: float = math.inf
    best_epoch: int = 0
    interval_nats: float = 0.0
    interval_tokens: int = 0

    def take_mean(self) -> float:
        """Return the mean cross-entropy of the interval in nats, and start a new interval."""
        mean = self.interval_nats / self.interval_tokens
        self.interval_nats, self.interval_tokens = 0.0, 0
        return mean

    def improves(self, perplexity: float) -> bool:
        """Return whether this validation perplexity is the best so far, and keep it if so."""
        if not perplexity < self.best_perplexity:
            return False
        self.best_perplexity, self.best_epoch = perplexity, self.epoch
        return True
