"""The optimiser and its learning rate."""

import math
from collections.abc import Iterable

import torch
from torch.nn import Parameter

from train.config import TrainConfig


def make_optimizer(parameters: Iterable[Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2017), decay on matrices and none on biases; or SGD, decay on all
    (Merity et al. 2017). Both in one pass over memory.
    """
    known = list(parameters)
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(known, lr=rate, weight_decay=decay, fused=True)
    groups = [
        {"params": [p for p in known if p.ndim >= 2], "weight_decay": decay},
        {"params": [p for p in known if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def learning_rate(config: TrainConfig, step: int, done: float, length: int) -> float:
    """The rate of a step that reads `length` tokens of each stream after a part `done` of the run.

    Rises from 0 over `warmup_steps`, falls along half a cosine from the beginning of the run to its
    end, and is proportional to the length of a step (Merity et al. 2017).
    """
    rate = config.learning_rate * length / config.bptt_length
    rate *= min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.schedule == "constant":
        return rate
    floor = config.final_learning_rate_ratio
    return rate * (floor + (1 - floor) * (1 + math.cos(math.pi * min(1.0, done))) / 2)
