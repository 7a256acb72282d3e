"""The model and all that moves with it in training: one `step` at a time, nothing of epochs."""

from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Generator, Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from train.average import Average
from train.config import Config
from train.data.streams import Batch
from train.model.lstm import State, TiedLSTM, detach, keep
from train.model.objective import Objective
from train.model.teacher import Teacher
from train.optimizer import make_optimizer
from train.report.stopwatch import Stopwatch
from train.runtime.distributed import Processes
from train.runtime.hardware import device, multiply_in


class TrainStep:
    def __init__(self, config: Config, tokenizer: Tokenizer, processes: Processes) -> None:
        """Raises ConfigError, and CheckpointError for the teacher's."""
        self._config = config.train
        self._processes = processes
        self._device = device(config.train, processes.local_rank)
        self._streams = processes.share(config.train.batch_size)
        torch.manual_seed(config.train.seed)
        self.model = TiedLSTM(config.model, tokenizer.get_vocab_size()).to(self._device)
        precision = multiply_in(config.train, self._device)
        self._objective = Objective(self.model, config.loss, precision).to(self._device)
        self.optimizer = make_optimizer(self._objective.parameters(), config.train)
        self.average = Average(list(self.model.parameters()), config.average)
        self.state = self.model.zero_state(self._streams)
        self._teacher: Teacher | None = None
        if config.loss.teacher is not None:
            self._teacher = Teacher(config.loss.teacher, tokenizer, self._streams, self._device)
        self.stopwatch = Stopwatch(self._device)
        self._forward: nn.Module = self._objective
        if processes.count > 1:
            self._forward = DistributedDataParallel(self._objective)
        if config.train.compile:
            self._forward.compile()

    def forget(self) -> None:
        """All streams begin anew from the zero state."""
        self.state = self.model.zero_state(self._streams)
        if self._teacher is not None:
            self._teacher.forget()

    def step(self, batch: Batch, rate: float, number: int) -> Tensor:
        """Read a batch, learn at a rate, and return the mean cross-entropy before, in nats: a
        tensor, so that nothing waits for a GPU. `number` is the step's, over the whole run.
        """
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        inputs, targets = batch.inputs.to(self._device), batch.targets.to(self._device)
        self.state = keep(detach(self.state), ~batch.reset)
        lesson = self._teacher.read(inputs, ~batch.reset) if self._teacher else None
        masks = self._seed(number)
        self.stopwatch.lap()
        loss, nats, self.state = self._forward(inputs, targets, self.state, lesson, masks)
        self.stopwatch.lap()
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.stopwatch.lap()
        nn.utils.clip_grad_norm_(self._objective.parameters(), self._config.gradient_clip)
        self.optimizer.step()
        self.average.update()
        self.stopwatch.lap()
        cross_entropy: Tensor = nats
        return cross_entropy

    def state_dict(self) -> dict[str, Any]:
        """Everything, of all processes: each must call it."""
        states = self._processes.gather([self.state, self._teacher and self._teacher.state])
        own, teacher = (_side_by_side([one[i] for one in states]) for i in (0, 1))
        return {
            "weights": self._objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "state": own,
            "teacher_state": teacher,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Raises KeyError, TypeError, ValueError or RuntimeError for another learner's."""
        self._objective.load_state_dict(saved["weights"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.average.load_state_dict(saved["average"])
        self.state = self._share(saved["state"])
        if self._teacher is not None:
            self._teacher.state = self._share(saved["teacher_state"])

    def _share(self, saved: list[Any]) -> State:
        begin = self._processes.rank * self._streams
        own = slice(begin, begin + self._streams)
        return [(h[:, own].to(self._device), c[:, own].to(self._device)) for h, c in saved]

    def _seed(self, number: int) -> Generator:
        """Make this step's random numbers its own: those of torch's default generator differ from
        process to process, those of the one returned do not.
        """
        seed = self._config.seed
        torch.manual_seed(_mixed(seed, number, 1 + self._processes.rank))
        return torch.Generator(self._device).manual_seed(_mixed(seed, number, 0))


def _side_by_side(states: list[State | None]) -> State | None:
    """Of all processes, along the streams."""
    known = [state for state in states if state is not None]
    return [
        (torch.cat([h for h, _ in layer], 1).cpu(), torch.cat([c for _, c in layer], 1).cpu())
        for layer in zip(*known, strict=True)
    ] or None


def _mixed(*numbers: int) -> int:
    """One seed of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
