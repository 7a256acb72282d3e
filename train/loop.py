"""Training: truncated back-propagation through time over parallel streams with carried state.

A run is a function of its configuration and its text. All that changes on the way stands in
`Progress` and in what `_snapshot` saves, so that a run killed anywhere goes on to the same weights
as one that was not.
"""

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from train.checkpoint import Checkpoint
from train.config import Config, TrainConfig
from train.corpus import Split
from train.errors import CheckpointError, TrainError
from train.evaluation import evaluate
from train.loss import sparse_cross_entropy
from train.metrics import MetricsLog
from train.model import State, TiedLSTM, detach
from train.streams import Streams


@dataclass
class Progress:
    """Where a run stands. `step` counts optimiser steps over all epochs."""

    epoch: int = 0
    step: int = 0
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
        train: Split,
        valid: Split,
        vocabulary: int,
        end: int,
    ) -> None:
        self.config = config.train
        self.checkpoint = checkpoint
        self.valid = valid
        self.end = end
        self.streams = Streams(train.ids, self.config.batch_size, self.config.bptt_length)
        torch.manual_seed(self.config.seed)
        self.model = TiedLSTM(config.model, vocabulary)
        self.optimizer = _optimizer(self.model, self.config)
        self.state = self.model.zero_state(self.config.batch_size)
        self.progress = Progress()
        self.use_bfloat16 = _use_bfloat16(self.config)
        if checkpoint.has("resume.pt"):
            try:
                self._restore(checkpoint.load("resume.pt"))
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                raise CheckpointError(f"resume.pt does not fit this run: {error}") from None
        self.metrics = MetricsLog(checkpoint.folder / "metrics.jsonl", self.progress.step)

    def train(self) -> None:
        """Run to the last epoch, or until validation stops improving."""
        progress = self.progress
        while progress.epoch < self.config.epochs and not self._out_of_patience():
            self._train_epoch()
            self._validate()
            self._save()

    def _train_epoch(self) -> None:
        progress, steps = self.progress, self.streams.steps
        first = progress.step - progress.epoch * steps
        if first == 0:
            self.state = self.model.zero_state(self.config.batch_size)
        begun = time.monotonic() - progress.seconds
        saved = time.monotonic()
        with tqdm(
            total=self.streams.stream_length * self.config.batch_size,
            initial=min(first * self.config.bptt_length, self.streams.stream_length)
            * self.config.batch_size,
            desc=f"epoch {progress.epoch + 1}/{self.config.epochs}",
            unit=" tokens",
            unit_scale=True,
        ) as bar:
            for index in range(first, steps):
                tokens = self._step(index)
                bar.update(tokens)
                progress.seconds = time.monotonic() - begun
                if progress.step % self.config.log_every_steps == 0 or index == steps - 1:
                    bar.set_postfix(perplexity=f"{self._log_interval():.1f}")
                late = time.monotonic() - saved > self.config.checkpoint_every_seconds
                if late and index < steps - 1:  # the last step's save follows its validation
                    self._save()
                    saved = time.monotonic()
        progress.epoch += 1

    def _step(self, index: int) -> int:
        self.model.train()
        inputs, targets = self.streams.batch(index)
        rate = learning_rate(
            self.config, self.progress.step, self.config.epochs * self.streams.steps
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16, enabled=self.use_bfloat16):
            hidden, state = self.model(inputs, detach(self.state))
            logits = self.model.logits(hidden)
        loss = sparse_cross_entropy(logits.float(), targets).mean()
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.state = state
        self.progress.step += 1
        self.progress.interval_nats += loss.item() * targets.numel()
        self.progress.interval_tokens += targets.numel()
        return targets.numel()

    def _log_interval(self) -> float:
        """Write the mean since the last line, start anew, and return its perplexity."""
        progress = self.progress
        mean = progress.interval_nats / progress.interval_tokens
        if not math.isfinite(mean):
            raise TrainError(
                f"training diverged at step {progress.step}: the loss is {mean}; lower "
                f"train.learning_rate = {self.config.learning_rate}"
            )
        self.metrics.write(
            kind="train",
            step=progress.step,
            epoch=progress.epoch + 1,
            seconds=round(progress.seconds, 3),
            cross_entropy=mean,
            perplexity=math.exp(min(mean, 700)),
            learning_rate=self.optimizer.param_groups[0]["lr"],
            tokens=progress.interval_tokens,
        )
        progress.interval_nats, progress.interval_tokens = 0.0, 0
        return math.exp(min(mean, 700))

    def _validate(self) -> None:
        progress = self.progress
        begun = time.monotonic()
        perplexity = evaluate(self.model, self.valid.ids, self.end).perplexity
        progress.seconds += time.monotonic() - begun
        if not math.isfinite(perplexity):
            raise TrainError(
                f"training diverged in epoch {progress.epoch}: the validation perplexity is "
                f"{perplexity}; lower train.learning_rate = {self.config.learning_rate}"
            )
        if perplexity < progress.best_perplexity:
            progress.best_perplexity, progress.best_epoch = perplexity, progress.epoch
            weights = self.model.state_dict()
            self.checkpoint.save("model.pt", {"weights": weights, "step": progress.step})
        self.metrics.write(
            kind="validation",
            step=progress.step,
            epoch=progress.epoch,
            seconds=round(progress.seconds, 3),
            perplexity=perplexity,
        )
        tqdm.write(
            f"epoch {progress.epoch}: validation perplexity {perplexity:.2f}, "
            f"{progress.seconds / 60:.1f} minutes"
        )

    def _out_of_patience(self) -> bool:
        return self.progress.epoch - self.progress.best_epoch >= self.config.patience

    def _save(self) -> None:
        self.checkpoint.save(
            "resume.pt",
            {
                "weights": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "state": self.state,
                "random": torch.get_rng_state(),
                "progress": asdict(self.progress),
            },
        )

    def _restore(self, saved: dict[str, Any]) -> None:
        self.model.load_state_dict(saved["weights"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.state = _as_state(saved["state"])
        torch.set_rng_state(saved["random"])
        self.progress = Progress(**saved["progress"])
        tqdm.write(f"going on from step {self.progress.step:,}")


def learning_rate(config: TrainConfig, step: int, total_steps: int) -> float:
    """Linear from 0 over `warmup_steps`, then half a cosine down to the final ratio."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
    floor = config.final_learning_rate_ratio
    return config.learning_rate * (floor + (1 - floor) * (1 + math.cos(math.pi * min(1, done))) / 2)


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2017); decay on matrices, none on biases."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def _use_bfloat16(config: TrainConfig) -> bool:
    if config.precision == "auto":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return config.precision == "bfloat16"


def _as_state(saved: Any) -> State:
    return [(h, c) for h, c in saved]
