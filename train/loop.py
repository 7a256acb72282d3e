"""Training: truncated back-propagation through time over parallel streams with carried state.

A run is a function of its configuration and its text. `_save` writes all that changes during the
run. Everything random is drawn for each step from the seed and the number of the step. A run that
was killed therefore continues to the same weights as one that was not.
"""

import math
import time
from dataclasses import asdict
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
from train.evaluation import LARGEST_EXPONENT, evaluate_in_parallel
from train.optimizer import learning_rate
from train.position import Position
from train.report.metrics import MetricsLog
from train.run_length import RunLength
from train.runtime.distributed import Processes
from train.runtime.progress import LogClock, Progress, print_line
from train.train_step import TrainStep


class TrainingRun:
    """A run in its checkpoint folder, resumed from `resume.pt` if that exists."""

    def __init__(
        self,
        config: Config,
        checkpoint: Checkpoint,
        train: Ids,
        valid: Ids,
        tokenizer: Tokenizer,
        processes: Processes | None = None,
    ) -> None:
        """Raises CheckpointError if `resume.pt` is of another run; CorpusError, ConfigError."""
        self.config = config.train
        self.checkpoint, self.valid, self.end = checkpoint, valid, end_id(tokenizer)
        self.processes = processes or Processes()
        self.streams = Streams(
            train, self.end, self.config, self.processes.rank, self.processes.world_size
        )
        self.length = RunLength(self.config, self.streams)
        self.train_step = TrainStep(config, tokenizer, self.processes)
        self.position = Position()
        self.step_losses: list[tuple[torch.Tensor, int]] = []  # mean nats and tokens of each step
        self.log_clock = LogClock()  # shared by all epochs
        if checkpoint.has("resume.pt"):
            try:
                self._restore(checkpoint.load("resume.pt"))
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                raise CheckpointError(
                    f"resume.pt does not fit this run: {error}; give another --out"
                ) from None
        self.metrics: MetricsLog | None = None
        if self.processes.is_main:
            self.metrics = MetricsLog(checkpoint.folder / "metrics.jsonl", self.position.step)

    def train(self) -> None:
        """Train until validation stops improving or the run ends. Raises TrainError, OSError."""
        while not self.length.is_over(self.position):
            self._train_epoch()
            self._validate()
            self._save()

    def _train_epoch(self) -> None:
        position, streams = self.position, self.streams
        if position.epoch_step == 0:
            streams.start_epoch(position.epoch)
            self.train_step.reset_state()
        began = time.monotonic() - position.seconds
        saved = time.monotonic()
        steps = self.length.epoch_steps(position)
        with self._epoch_progress(steps) as progress:
            while position.epoch_step < steps:
                tokens = self._step()
                position.seconds = time.monotonic() - began
                is_last = position.epoch_step == steps
                if position.step % self.config.log_every_steps == 0 or is_last:
                    progress.note(f"perplexity {self._log_interval():.1f}")
                progress.update(tokens)
                is_due = time.monotonic() - saved > self.config.checkpoint_every_seconds
                if not is_last and self.processes.broadcast(is_due):  # the last save is in `train`
                    self._save()
                    saved = time.monotonic()
        position.epoch += 1
        position.epoch_step = 0

    def _epoch_progress(self, steps: int) -> Progress:
        return Progress(
            f"epoch {self.position.epoch + 1}/{self.config.epochs}",
            self.streams.tokens_before(steps) * self.config.batch_size,
            "tokens",
            initial=self.streams.tokens_before(self.position.epoch_step) * self.config.batch_size,
            after=self.length.tokens_after(self.position, steps),
            clock=self.log_clock,
            quiet=not self.processes.is_main,
        )

    def _step(self) -> int:
        """Take one step of the optimiser. Return the tokens that all processes read in it."""
        position, streams = self.position, self.streams
        length = streams.lengths[position.epoch_step]
        done = self.length.fraction_done(position)
        rate = learning_rate(self.config, position.step, done, length)
        self.train_step.stopwatch.start()
        batch = streams.batch(position.epoch_step)
        nats = self.train_step.step(batch, rate, position.step)
        position.step += 1
        position.epoch_step += 1
        tokens = length * self.config.batch_size
        self.step_losses.append((nats, tokens))
        return tokens

    def _log_interval(self) -> float:
        """Log the interval since the last line, start a new one, and return its perplexity."""
        self._sum_interval()
        tokens = self.position.interval_tokens
        mean = self.position.take_mean()
        self._require_finite(mean, "loss", f"at step {self.position.step}")
        perplexity = math.exp(min(mean, LARGEST_EXPONENT))
        self._write(
            kind="train",
            epoch=self.position.epoch + 1,
            cross_entropy=mean,
            perplexity=perplexity,
            learning_rate=self.train_step.optimizer.param_groups[0]["lr"],
            tokens=tokens,
            **self.train_step.stopwatch.take(),
        )
        return perplexity

    def _sum_interval(self) -> None:
        """Add the losses of the last steps to the interval: the only place that waits for a GPU."""
        nats = sum((mean.double() * tokens for mean, tokens in self.step_losses), torch.zeros(()))
        self.position.interval_nats += self.processes.mean(nats).item()
        self.position.interval_tokens += sum(tokens for _, tokens in self.step_losses)
        self.step_losses.clear()

    def _validate(self) -> None:
        """Evaluate the averaged weights, and keep them as `model.pt` if they are the best."""
        position, train_step = self.position, self.train_step
        began = time.monotonic()
        with train_step.average.applied():
            perplexity = math.nan
            if self.processes.is_main:
                perplexity = evaluate_in_parallel(train_step.model, self.valid, self.end).perplexity
            perplexity = self.processes.broadcast(perplexity)
            position.seconds += time.monotonic() - began
            self._require_finite(perplexity, "validation perplexity", f"in epoch {position.epoch}")
            if position.improves(perplexity) and self.processes.is_main:
                weights = train_step.model.state_dict()
                self.checkpoint.save("model.pt", {"weights": weights, "step": position.step})
        train_step.average.add_validation(perplexity)
        self._write(kind="validation", epoch=position.epoch, perplexity=perplexity)
        if self.processes.is_main:
            print_line(
                f"epoch {position.epoch}: validation perplexity {perplexity:.2f}, "
                f"{position.seconds / 60:.1f} minutes"
            )

    def _require_finite(self, value: float, name: str, place: str) -> None:
        if not math.isfinite(value):
            raise TrainError(
                f"training diverged {place}: the {name} is {value}; lower "
                f"train.learning_rate = {self.config.learning_rate}"
            )

    def _write(self, **figures: Any) -> None:
        if self.metrics is not None:
            seconds = round(self.position.seconds, 3)
            self.metrics.write(step=self.position.step, seconds=seconds, **figures)

    def _save(self) -> None:
        """Write `resume.pt`. All processes take part; the main process writes."""
        self._sum_interval()
        content = {  # these keys are the format of resume.pt
            "learner": self.train_step.state_dict(),
            "positions": self.streams.positions.tolist(),
            "progress": asdict(self.position),
        }
        if self.processes.is_main:
            self.checkpoint.save("resume.pt", content)

    def _restore(self, saved: dict[str, Any]) -> None:
        self.position = Position(**saved["progress"])
        self.streams.start_epoch(self.position.epoch)
        self.streams.positions[:] = np.array(saved["positions"], np.int64)
        self.train_step.load_state_dict(saved["learner"])
        if self.processes.is_main:
            print_line(f"resuming from step {self.position.step:,}")
