"""The optimiser, and the learning rate of each step."""

import math
from collections.abc import Iterable

import torch
from torch.nn import Parameter

from train.config import TrainConfig


def make_optimizer(parameters: Iterable[Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """Return AdamW (Loshchilov & Hutter 2017) with weight decay on matrices but not on biases, or
    SGD with decay on all parameters (Merity et al. 2017). Both are fused: one pass over memory.
    """
    listed = list(parameters)
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(listed, lr=rate, weight_decay=decay, fused=True)
    groups = [
        {"params": [p for p in listed if p.ndim >= 2], "weight_decay": decay},
        {"params": [p for p in listed if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def learning_rate(config: TrainConfig, step: int, done: float, length: int) -> float:
    """Return the learning rate of a step that reads `length` tokens of each stream, after the
    fraction `done` of the run.

    The rate rises linearly over `warmup_steps`. The cosine schedule falls along half a cosine from
    the start of the run to its end. The rate is proportional to `length` (Merity et al. 2017).
    """
    rate = config.learning_rate * length / config.bptt_length
    rate *= min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.schedule == "constant":
        return rate
    floor = config.final_learning_rate_ratio
    return rate * (floor + (1 - floor) * (1 + math.cos(math.pi * min(1.0, done))) / 2)
