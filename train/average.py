"""Averages of the weights, which often score new text better than the last weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from train.config import AverageConfig


class Average:
    """An average of parameters. Call `update` after each step and `add_validation` after each
    validation. Inside `applied` the parameters have their average, if there is one yet.
    """

    def __init__(self, parameters: list[Parameter], config: AverageConfig) -> None:
        self._parameters = parameters
        self._config = config
        self._weights: list[Tensor] | None = None
        self._updates = 0
        self._history: list[float] = []
        if config.kind == "ema":
            self._weights = [p.detach().clone() for p in parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Add the weights of step n. The decay of `ema` grows as (1 + n) / (10 + n) up to its
        configured value, so that the random initial weights are soon forgotten.
        """
        if self._weights is None:
            return
        self._updates += 1
        n = self._updates
        if self._config.kind == "ema":
            weight = 1 - min(self._config.decay, (1 + n) / (10 + n))
        else:
            weight = 1 / n
        torch._foreach_lerp_(self._weights, [p.detach() for p in self._parameters], weight)

    def add_validation(self, perplexity: float) -> None:
        """Record a validation perplexity, and start `nt-asgd` if validation stopped improving.

        That is when the perplexity is worse than the best one before the last `patience`
        validations (Merity et al. 2017, algorithm 1).
        """
        earlier = self._history[: -self._config.patience]
        nt_asgd = self._config.kind == "nt-asgd"
        if nt_asgd and self._weights is None and earlier and perplexity > min(earlier):
            self._weights = [p.detach().clone() for p in self._parameters]
        self._history.append(perplexity)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Set the parameters to their average, and back to their own values at the end."""
        if self._weights is None:
            yield
            return
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        assert self._weights is not None
        for parameter, weight in zip(self._parameters, self._weights, strict=True):
            parameter.data, weight.data = weight.data, parameter.data

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self._weights, "updates": self._updates, "history": self._history}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        weights: list[Tensor] | None = saved["weights"]
        if weights is not None:
            pairs = zip(self._parameters, weights, strict=True)
            weights = [weight.to(parameter.device) for parameter, weight in pairs]
        self._weights = weights
        self._updates = saved["updates"]
        self._history = saved["history"]
