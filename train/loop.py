"""Training: truncated back-propagation through time over parallel streams with carried state.

A run is a function of its configuration and its text. All that changes on the way stands in what
`_save` writes; everything random is drawn anew for each step from the seed and the step's number.
So a run killed anywhere goes on to the same weights as one that was not.
"""

import math
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from train.checkpoint import Checkpoint
from train.config import Config
from train.data.corpus import Ids
from train.data.streams import Streams
from train.data.tokenizer import end_id
from train.errors import CheckpointError, TrainError
from train.evaluation import evaluate
from train.optimizer import learning_rate
from train.report.metrics import MetricsLog
from train.runtime.distributed import Processes
from train.runtime.progress import Pace, Progress, say
from train.train_step import TrainStep

# In parallel, which is fast; the report reads the split as one stream. Each stream begins from the
# zero state, which a short one would be judged by.
VALIDATION_STREAMS = 16
VALIDATION_STREAM_TOKENS = 1000


@dataclass
class Position:
    """Where a run stands. `step` counts optimiser steps over all epochs, `epoch_step` in this one;
    `interval_…` sum over the tokens since the last line of the log.
    """

    epoch: int = 0
    step: int = 0
    epoch_step: int = 0
    seconds: float = 0.0
    best_perplexity: float = math.inf
    best_epoch: int = 0
    interval_nats: float = 0.0
    interval_tokens: int = 0


class Run:
    def __init__(
        self,
        config: Config,
        checkpoint: Checkpoint,
        train: Ids,
        valid: Ids,
        tokenizer: Tokenizer,
        processes: Processes | None = None,
    ) -> None:
        """Raises CheckpointError when `resume.pt` is not this run's, CorpusError, ConfigError."""
        self.config = config.train
        self.checkpoint = checkpoint
        self.valid = valid
        self.end = end_id(tokenizer)
        self.processes = processes or Processes()
        rank, count = self.processes.rank, self.processes.count
        self.streams = Streams(train, self.end, self.config, rank, count)
        self.learner = TrainStep(config, tokenizer, self.processes)
        self.progress = Position()
        self.interval: list[tuple[torch.Tensor, int]] = []  # mean nats and tokens of each step
        self.pace = Pace()  # of all epochs
        if checkpoint.has("resume.pt"):
            try:
                self._restore(checkpoint.load("resume.pt"))
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                raise CheckpointError(f"resume.pt does not fit this run: {error}") from None
        self.metrics: MetricsLog | None = None
        if self.processes.first:
            self.metrics = MetricsLog(checkpoint.folder / "metrics.jsonl", self.progress.step)

    def train(self) -> None:
        """Run to the last epoch or step, or until validation stops improving."""
        while not self._is_over():
            self._train_epoch()
            self._validate()
            self._save()

    def _train_epoch(self) -> None:
        progress, streams = self.progress, self.streams
        if progress.epoch_step == 0:
            streams.start_epoch(progress.epoch)
            self.learner.forget()
        begun = time.monotonic() - progress.seconds
        saved = time.monotonic()
        steps = min(streams.steps, progress.epoch_step + self._steps_left())
        with Progress(
            f"epoch {progress.epoch + 1}/{self.config.epochs}",
            streams.read_before(steps) * self.config.batch_size,
            "tokens",
            initial=streams.read_before(progress.epoch_step) * self.config.batch_size,
            after=self._tokens_after(steps),
            pace=self.pace,
            quiet=not self.processes.first,
        ) as shown:
            while progress.epoch_step < steps:
                read = self._step()
                progress.seconds = time.monotonic() - begun
                last = progress.epoch_step == steps
                if progress.step % self.config.log_every_steps == 0 or last:
                    shown.note(f"perplexity {self._log_interval():.1f}")
                shown.update(read)
                late = time.monotonic() - saved > self.config.checkpoint_every_seconds
                if not last and self.processes.agree(late):  # the last save follows validation
                    self._save()
                    saved = time.monotonic()
        progress.epoch += 1
        progress.epoch_step = 0

    def _step(self) -> int:
        """One step of the optimiser; how many tokens all processes read in it."""
        progress, streams = self.progress, self.streams
        epochs = progress.epoch + streams.read_before(progress.epoch_step) / streams.stream_length
        done = epochs / self.config.epochs
        if self.config.max_steps is not None:
            done = max(done, progress.step / self.config.max_steps)
        length = streams.lengths[progress.epoch_step]
        rate = learning_rate(self.config, progress.step, done, length)
        self.learner.stopwatch.start()
        batch = streams.batch(progress.epoch_step)
        nats = self.learner.step(batch, rate, progress.step)
        progress.step += 1
        progress.epoch_step += 1
        tokens = length * self.config.batch_size
        self.interval.append((nats, tokens))
        return tokens

    def _log_interval(self) -> float:
        """Write the mean since the last line, start anew, and return its perplexity."""
        self._sum_interval()
        progress = self.progress
        mean = progress.interval_nats / progress.interval_tokens
        if not math.isfinite(mean):
            raise TrainError(
                f"training diverged at step {progress.step}: the loss is {mean}; lower "
                f"train.learning_rate = {self.config.learning_rate}"
            )
        self._write(
            kind="train",
            epoch=progress.epoch + 1,
            cross_entropy=mean,
            perplexity=math.exp(min(mean, 700)),
            learning_rate=self.learner.optimizer.param_groups[0]["lr"],
            tokens=progress.interval_tokens,
            **self.learner.stopwatch.take(),
        )
        progress.interval_nats, progress.interval_tokens = 0.0, 0
        return math.exp(min(mean, 700))

    def _sum_interval(self) -> None:
        """Over all processes; the only place in a run that waits for a GPU."""
        nats = sum((mean.double() * tokens for mean, tokens in self.interval), torch.zeros(()))
        self.progress.interval_nats += self.processes.mean(nats).item()
        self.progress.interval_tokens += sum(tokens for _, tokens in self.interval)
        self.interval.clear()

    def _validate(self) -> None:
        progress, learner = self.progress, self.learner
        begun = time.monotonic()
        with learner.average.applied():
            found = math.nan
            if self.processes.first:
                streams = min(VALIDATION_STREAMS, len(self.valid) // VALIDATION_STREAM_TOKENS)
                found = evaluate(learner.model, self.valid, self.end, max(1, streams)).perplexity
            perplexity = self.processes.agree(found)
            progress.seconds += time.monotonic() - begun
            if not math.isfinite(perplexity):
                raise TrainError(
                    f"training diverged in epoch {progress.epoch}: the validation perplexity is "
                    f"{perplexity}; lower train.learning_rate = {self.config.learning_rate}"
                )
            if perplexity < progress.best_perplexity:
                progress.best_perplexity, progress.best_epoch = perplexity, progress.epoch
                if self.processes.first:
                    weights = learner.model.state_dict()
                    self.checkpoint.save("model.pt", {"weights": weights, "step": progress.step})
        learner.average.validated(perplexity)
        self._write(kind="validation", epoch=progress.epoch, perplexity=perplexity)
        if self.processes.first:
            say(
                f"epoch {progress.epoch}: validation perplexity {perplexity:.2f}, "
                f"{progress.seconds / 60:.1f} minutes"
            )

    def _write(self, **figures: Any) -> None:
        if self.metrics is not None:
            seconds = round(self.progress.seconds, 3)
            self.metrics.write(step=self.progress.step, seconds=seconds, **figures)

    def _is_over(self) -> bool:
        epoch, since_best = self.progress.epoch, self.progress.epoch - self.progress.best_epoch
        is_last = epoch >= self.config.epochs or since_best >= self.config.patience
        return is_last or self._steps_left() <= 0

    def _steps_left(self) -> int:
        """Return how many steps `max_steps` allows; without it, more than there are."""
        most = self.config.max_steps
        return sys.maxsize // 2 if most is None else most - self.progress.step

    def _tokens_after(self, steps: int) -> int:
        """Return the tokens to train on after this epoch's first `steps` steps, at most."""
        epochs = self.config.epochs - self.progress.epoch - 1
        left = self._steps_left() - (steps - self.progress.epoch_step)
        length = min(epochs * self.streams.stream_length, left * self.config.bptt_length)
        return length * self.config.batch_size

    def _save(self) -> None:
        """Everything; all processes take part, the first writes."""
        self._sum_interval()
        content = {
            "learner": self.learner.state_dict(),
            "positions": self.streams.positions.tolist(),
            "progress": asdict(self.progress),
        }
        if self.processes.first:
            self.checkpoint.save("resume.pt", content)

    def _restore(self, saved: dict[str, Any]) -> None:
        self.progress = Position(**saved["progress"])
        self.streams.start_epoch(self.progress.epoch)
        self.streams.positions[:] = np.array(saved["positions"], np.int64)
        self.learner.load_state_dict(saved["learner"])
        if self.processes.first:
            say(f"going on from step {self.progress.step:,}")
