"""The inputs on which graphs and checkpoint are compared."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_export.layers import Floats
from model_export.reference import DoubleLSTM, Doubles, Ids

LENGTHS = ([1], [7, 7], [1, 2, 3, 5, 8, 13, 21, 34], [90, 1, 45, 17, 64, 2])
LENGTHS_FROM_REACHED = ([1] * 6, [2, 9, 1, 5, 3, 14])


@dataclass(frozen=True)
class Batch:
    """Right-padded ids (B, T) from states (B, S); `targets` (N,) are the ids that are scored."""

    start: str
    ids: Ids
    lengths: list[int]
    states: Floats
    targets: Ids

    @property
    def name(self) -> str:
        count, shortest, longest = len(self.lengths), min(self.lengths), max(self.lengths)
        size = f"{shortest} to {longest}" if shortest < longest else str(longest)
        sequences = "sequence" if count == 1 else "sequences"
        return f"{count} {sequences} of {size} token{'' if longest == 1 else 's'} from {self.start}"

    @property
    def last(self) -> Ids:
        """(B,): where every sequence's last token stands among the N."""
        return np.cumsum(self.lengths) - 1

    def largest_so_far(self, values: Doubles) -> Doubles:
        """(N,) → (N,): the largest value of the same sequence up to each token."""
        parts = np.split(values, self.last[:-1] + 1)
        return np.concatenate([np.maximum.accumulate(part) for part in parts])


def batches(
    exact: DoubleLSTM, vocabulary: int, state_size: int, random: np.random.Generator
) -> Iterator[Batch]:
    """From random states, from the zero state and from states that the model itself reaches."""

    def batch(start: str, lengths: list[int], states: NDArray[np.floating[Any]]) -> Batch:
        ids = random.integers(0, vocabulary, (len(lengths), max(lengths)))
        targets = random.integers(0, vocabulary, sum(lengths))
        return Batch(start, ids, lengths, states.astype(np.float32), targets)

    for lengths in LENGTHS:
        states = np.tanh(random.normal(size=(len(lengths), state_size)))
        yield (longest := batch("random states", lengths, states))
    yield batch("the zero state", LENGTHS[2], np.zeros((len(LENGTHS[2]), state_size)))
    # A cell that counts grows with its text, up to 90 here. A single step from there amplifies no
    # rounding, however chaotic the model is, and so shows a wrong graph of any model.
    _, reached = exact.read(longest.ids, longest.lengths, longest.states)
    for lengths in LENGTHS_FROM_REACHED:
        yield batch("states that the model reaches", lengths, reached)
