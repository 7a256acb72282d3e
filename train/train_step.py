"""One training step: the model, its optimiser, average, state and teacher, without any epochs."""

from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Generator, Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from train.average import Average
from train.config import Config
from train.data.streams import Batch
from train.model.lstm import State, TiedLSTM, detach_state, mask_state
from train.model.objective import Objective
from train.model.teacher import Teacher
from train.optimizer import make_optimizer
from train.runtime.distributed import Processes
from train.runtime.hardware import compute_dtype, training_device
from train.runtime.stopwatch import Stopwatch


class TrainStep:
    """Everything that a step changes. `step` reads one batch and updates the weights."""

    def __init__(self, config: Config, tokenizer: Tokenizer, processes: Processes) -> None:
        """Raises ConfigError; CheckpointError if the teacher cannot be loaded."""
        self._config = config.train
        self._processes = processes
        self._device = training_device(config.train, processes.local_rank)
        self._batch_size = processes.local_batch_size(config.train.batch_size)
        torch.manual_seed(config.train.seed)
        self.model = TiedLSTM(config.model, tokenizer.get_vocab_size()).to(self._device)
        dtype = compute_dtype(config.train, self._device)
        self._objective = Objective(self.model, config.loss, dtype).to(self._device)
        self.optimizer = make_optimizer(self._objective.parameters(), config.train)
        self.average = Average(list(self.model.parameters()), config.average)
        self.state = self.model.zero_state(self._batch_size)
        self._teacher: Teacher | None = None
        if config.loss.teacher is not None:
            self._teacher = Teacher(config.loss.teacher, tokenizer, self._batch_size, self._device)
        self.stopwatch = Stopwatch(self._device)
        self._forward: nn.Module = self._objective
        if processes.world_size > 1:
            self._forward = DistributedDataParallel(self._objective)
        if config.train.compile:
            self._forward.compile()

    def reset_state(self) -> None:
        """Set all streams to the zero state."""
        self.state = self.model.zero_state(self._batch_size)
        if self._teacher is not None:
            self._teacher.reset_state()

    def step(self, batch: Batch, learning_rate: float, number: int) -> Tensor:
        """Update the weights with a batch. Return the mean cross-entropy before the update in nats,
        as a tensor, so that the program does not wait for a GPU.

        `number` counts the steps of the whole run: the random numbers of a step depend on it.
        """
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        inputs, targets = batch.inputs.to(self._device), batch.targets.to(self._device)
        self.state = mask_state(detach_state(self.state), ~batch.reset)
        teacher_output = self._teacher.forward(inputs, ~batch.reset) if self._teacher else None
        masks = self._seed(number)
        self.stopwatch.lap()
        loss, nats, self.state = self._forward(inputs, targets, self.state, teacher_output, masks)
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
        """Return everything that a resumed run needs. All processes must call it together."""
        states = self._processes.gather([self.state, self._teacher and self._teacher.state])
        own, teacher = (_join_streams([one[i] for one in states]) for i in (0, 1))
        return {
            "weights": self._objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "state": own,
            "teacher_state": teacher,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Raises KeyError, TypeError, ValueError or RuntimeError for another configuration's."""
        self._objective.load_state_dict(saved["weights"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.average.load_state_dict(saved["average"])
        self.state = self._local_state(saved["state"])
        if self._teacher is not None:
            self._teacher.state = self._local_state(saved["teacher_state"])

    def _local_state(self, saved: list[Any]) -> State:
        """Return this process's streams of the state of all streams."""
        begin = self._processes.rank * self._batch_size
        own = slice(begin, begin + self._batch_size)
        return [(h[:, own].to(self._device), c[:, own].to(self._device)) for h, c in saved]

    def _seed(self, number: int) -> Generator:
        """Seed this step's random numbers. Return a generator that draws the same numbers in every
        process; torch's default generator draws others in each.
        """
        seed = self._config.seed
        torch.manual_seed(_mix_seeds(seed, number, 1 + self._processes.rank))
        return torch.Generator(self._device).manual_seed(_mix_seeds(seed, number, 0))


def _join_streams(states: list[State | None]) -> State | None:
    """Return the states (1, B, H) of all processes, concatenated along B, on the CPU."""
    known = [state for state in states if state is not None]
    return [
        (torch.cat([h for h, _ in layer], 1).cpu(), torch.cat([c for _, c in layer], 1).cpu())
        for layer in zip(*known, strict=True)
    ] or None


def _mix_seeds(*numbers: int) -> int:
    """Return one seed that depends on several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
