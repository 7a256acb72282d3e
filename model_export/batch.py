"""The random inputs on which the graphs are compared with the checkpoint."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_export.reference import DoubleLSTM, Doubles
from service.arrays import Floats, Ids

LENGTHS = ([1], [7, 7], [1, 2, 3, 5, 8, 13, 21, 34], [90, 1, 45, 17, 64, 2])
LENGTHS_FROM_REACHED = ([1] * 6, [2, 9, 1, 5, 3, 14])


@dataclass(frozen=True)
class Batch:
    """Right-padded ids (B, T), the states (B, S) before them, and the ids (N,) to score, `targets`.

    `start` describes the states.
    """

    start: str
    ids: Ids
    lengths: list[int]
    states: Floats
    targets: Ids

    @property
    def name(self) -> str:
        """A description for error messages."""
        count, shortest, longest = len(self.lengths), min(self.lengths), max(self.lengths)
        size = f"{shortest} to {longest}" if shortest < longest else str(longest)
        sequences = "sequence" if count == 1 else "sequences"
        return f"{count} {sequences} of {size} token{'' if longest == 1 else 's'} from {self.start}"

    @property
    def last(self) -> Ids:
        """The index (B,) of every sequence's last token among all N tokens."""
        return np.cumsum(self.lengths) - 1

    def largest_so_far(self, values: Doubles) -> Doubles:
        """Return, for each of the N tokens, the largest value in its sequence up to there (N,)."""
        parts = np.split(values, self.last[:-1] + 1)
        return np.concatenate([np.maximum.accumulate(part) for part in parts])


def batches(
    exact: DoubleLSTM, vocabulary: int, state_size: int, random: np.random.Generator
) -> Iterator[Batch]:
    """Yield batches from random states, the zero state and states that the model reaches."""

    def batch(start: str, lengths: list[int], states: NDArray[np.floating[Any]]) -> Batch:
        ids = random.integers(0, vocabulary, (len(lengths), max(lengths)))
        targets = random.integers(0, vocabulary, sum(lengths))
        return Batch(start, ids, lengths, states.astype(np.float32), targets)

    for lengths in LENGTHS:
        states = np.tanh(random.normal(size=(len(lengths), state_size)))
        yield (longest := batch("random states", lengths, states))
    yield batch("the zero state", LENGTHS[2], np.zeros((len(LENGTHS[2]), state_size)))
    # A cell that counts grows with its text, up to 90 here. A single step from there does not
    # amplify rounding, even if the model is chaotic, and therefore shows a wrong graph of any
    # model.
    _, reached = exact.forward(longest.ids, longest.lengths, longest.states)
    for lengths in LENGTHS_FROM_REACHED:
        yield batch("states that the model reaches", lengths, reached)
