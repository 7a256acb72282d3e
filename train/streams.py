"""Ids → batches of parallel streams.

Training reads a split as B streams side by side, and T tokens of each at a step:

    ids      0 1 2 3 4 5 6 7 8 9 10 11 12 …            one array, in the order of the text

    stream 0 | 0  1  2 |  3  4  5 |                    inputs (T, B) of the first step are
    stream 1 | 6  7  8 |  9 10 11 |                    [[0, 6], [1, 7], [2, 8]]; its targets
               step 1     step 2                       [[1, 7], [2, 8], [3, 9]], one token on

The hidden state of a stream is carried from step to step, so that the model reads the text from
left to right although gradients stop at the left edge of a step.
"""

import numpy as np
import torch

from train.corpus import Ids
from train.errors import CorpusError


class Streams:
    """A split cut into B parallel streams of equal length; what does not fill them is left out."""

    def __init__(self, ids: Ids, batch_size: int, bptt_length: int) -> None:
        """Raises CorpusError when the split is too short for that many streams."""
        self.stream_length = (len(ids) - 1) // batch_size
        if self.stream_length < 1:
            raise CorpusError(
                f"the train split holds {len(ids)} tokens, too few for train.batch_size = "
                f"{batch_size} streams"
            )
        self.ids = ids
        self.bptt_length = bptt_length
        self.starts = np.arange(batch_size) * self.stream_length  # (B,)
        self.steps = -(-self.stream_length // bptt_length)

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of one step, both (T, B) int64; the last step may be shorter."""
        begin = step * self.bptt_length
        length = min(self.bptt_length, self.stream_length - begin)
        at = self.starts[None, :] + np.arange(begin, begin + length + 1)[:, None]  # (T + 1, B)
        window = torch.from_numpy(self.ids[at].astype(np.int64))
        return window[:-1], window[1:]
