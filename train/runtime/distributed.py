"""The processes that train one model together: those that `torchrun` started, or this one alone.

Every process reads its part of the streams. Gradients are averaged over all processes. Rank 0 is
the main process: it alone prepares the text, validates, writes and prints.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from train.errors import ConfigError, TrainError

T = TypeVar("T")

# The other ranks wait this long while rank 0 tokenizes a large text or validates.
TIMEOUT = timedelta(hours=6)


class Processes:
    """This process's rank, and operations in which all `world_size` processes take part."""

    def __init__(self, rank: int = 0, world_size: int = 1, local_rank: int = 0) -> None:
        self.rank = rank
        self.world_size = world_size
        self.local_rank = local_rank

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def local_batch_size(self, batch_size: int) -> int:
        """Return the number of streams of each process.

        Raises ConfigError if `batch_size` is not a multiple of the world size.
        """
        if batch_size % self.world_size:
            raise ConfigError(
                f"train.batch_size = {batch_size} cannot be divided among {self.world_size} "
                f"processes; make it a multiple of {self.world_size}"
            )
        return batch_size // self.world_size

    def rank_zero_first(self, work: Callable[[], T]) -> T:
        """Call `work` in rank 0, then in the other ranks, which find the files that rank 0 wrote.

        If it fails in rank 0, the other ranks exit with code 1 and print nothing, because rank 0
        prints the error.
        """
        if self.is_main:
            try:
                result = work()
            except (TrainError, OSError):
                self.broadcast(False)
                raise
            self.broadcast(True)
            return result
        if not self.broadcast(False):
            raise SystemExit(1)
        return work()

    def broadcast(self, value: float) -> float:
        """Return rank 0's `value` in every process."""
        if self.world_size == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of `value` over all processes. May change `value` in place."""
        if self.world_size > 1:
            distributed.all_reduce(value)
        return value / self.world_size

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, ordered by rank."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        distributed.all_gather_object(values, value)
        return values


def is_main_process() -> bool:
    """Return whether this is rank 0; works before `init_process_group`."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def process_group(use_gpu: bool) -> Iterator[Processes]:
    """Connect the processes that `torchrun` started; without torchrun, yield this process alone."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield Processes()
        return
    local_rank = int(os.environ["LOCAL_RANK"])
    if use_gpu:
        torch.cuda.set_device(local_rank)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if use_gpu else "gloo", timeout=TIMEOUT)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), local_rank)
    finally:
        distributed.destroy_process_group()
