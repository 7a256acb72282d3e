"""Several processes that train one model, started by `torchrun`; or one, and nothing of this shows.

Every process reads its share of the streams; gradients are averaged over all. Process 0 alone
prepares the text, validates, writes and speaks.
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

# How long others wait while process 0 tokenizes a large text or validates.
PATIENCE = timedelta(hours=6)


class Processes:
    def __init__(self, rank: int = 0, count: int = 1, local_rank: int = 0) -> None:
        self.rank = rank
        self.count = count
        self.local_rank = local_rank

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, batch_size: int) -> int:
        """Streams of each process. Raises ConfigError when they cannot be shared evenly."""
        if batch_size % self.count:
            raise ConfigError(
                f"train.batch_size = {batch_size} cannot be shared by {self.count} processes"
            )
        return batch_size // self.count

    def in_turn(self, work: Callable[[], T]) -> T:
        """Process 0 works first, then the others, who find what it wrote. Where it fails they leave
        without a word: it says why.
        """
        if self.first:
            try:
                done = work()
            except (TrainError, OSError):
                self.agree(False)
                raise
            self.agree(True)
            return done
        if not self.agree(False):
            raise SystemExit(1)
        return work()

    def agree(self, figure: float) -> float:
        """What process 0 says."""
        if self.count == 1:
            return figure
        told = [figure]
        distributed.broadcast_object_list(told, src=0)
        return told[0]

    def mean(self, figure: Tensor) -> Tensor:
        if self.count > 1:
            distributed.all_reduce(figure)
        return figure / self.count

    def gather(self, own: Any) -> list[Any]:
        """Of every process, in the order of their ranks."""
        if self.count == 1:
            return [own]
        everyone: list[Any] = [None] * self.count
        distributed.all_gather_object(everyone, own)
        return everyone


def is_first() -> bool:
    """Of those that `torchrun` started, known before they have met."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def processes(use_gpu: bool) -> Iterator[Processes]:
    """Those that `torchrun` started, or this one."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield Processes()
        return
    local_rank = int(os.environ["LOCAL_RANK"])
    if use_gpu:
        torch.cuda.set_device(local_rank)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if use_gpu else "gloo", timeout=PATIENCE)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), local_rank)
    finally:
        distributed.destroy_process_group()
