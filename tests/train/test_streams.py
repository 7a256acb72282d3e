import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.errors import CorpusError
from train.streams import Streams


def test_batches_are_as_the_docstring_draws_them() -> None:
    streams = Streams(np.arange(13, dtype=np.int32), batch_size=2, bptt_length=3)
    inputs, targets = streams.batch(0)
    assert inputs.tolist() == [[0, 6], [1, 7], [2, 8]]
    assert targets.tolist() == [[1, 7], [2, 8], [3, 9]]
    inputs, targets = streams.batch(1)
    assert inputs.tolist() == [[3, 9], [4, 10], [5, 11]]
    assert targets.tolist() == [[4, 10], [5, 11], [6, 12]]
    assert streams.steps == 2


def test_the_last_step_is_as_short_as_what_is_left() -> None:
    streams = Streams(np.arange(16, dtype=np.int32), batch_size=2, bptt_length=3)
    assert (streams.stream_length, streams.steps) == (7, 3)
    assert streams.batch(2)[0].tolist() == [[6, 13]]
    assert streams.batch(2)[1].tolist() == [[7, 14]]


@given(
    length=st.integers(2, 200),
    batch_size=st.integers(1, 12),
    bptt_length=st.integers(1, 40),
)
@settings(deadline=None)
def test_an_epoch_predicts_every_token_but_the_remainder_once(
    length: int, batch_size: int, bptt_length: int
) -> None:
    ids = np.arange(length, dtype=np.int32)
    if length <= batch_size:
        with pytest.raises(CorpusError, match=r"too few for train\.batch_size"):
            Streams(ids, batch_size, bptt_length)
        return
    streams = Streams(ids, batch_size, bptt_length)
    predicted: list[int] = []
    for step in range(streams.steps):
        inputs, targets = streams.batch(step)
        assert inputs.shape == targets.shape
        assert inputs.shape[1] == batch_size
        assert 1 <= inputs.shape[0] <= bptt_length
        assert (targets == inputs + 1).all()
        predicted += targets.flatten().tolist()
    remainder = (length - 1) % batch_size
    assert sorted(predicted) == list(range(1, length - remainder))
