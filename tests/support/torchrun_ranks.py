"""`python -m train` that also writes each rank's last weights next to the checkpoint."""

import sys

import torch

from train.__main__ import main
from train.loop import TrainingRun

train = TrainingRun.train


def train_and_save(self: TrainingRun) -> None:
    train(self)
    path = self.checkpoint.folder / f"rank-{self.processes.rank}.pt"
    torch.save(self.train_step.model.state_dict(), path)


if __name__ == "__main__":
    TrainingRun.train = train_and_save  # type: ignore[method-assign]  # of this program alone
    sys.exit(main())
