from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.config import TrainConfig
from train.data import streams as module
from train.data.corpus import Ids
from train.data.streams import Batch, Streams
from train.errors import CorpusError

END = 1


def numbered(length: int) -> Ids:
    """Return the ids 2, 3, 4, …, none of which is `<eos>`."""
    return np.arange(length, dtype=np.int32) + 2


def text(length: int, seed: int = 0) -> Ids:
    """Return random words in lines of about seven tokens; `<eos>` is 1."""
    random = np.random.default_rng(seed)
    ids = random.integers(2, 50, length).astype(np.int32)
    ids[random.random(length) < 1 / 7] = END
    return ids


def make(ids: Ids, rank: int = 0, processes: int = 1, **config: Any) -> Streams:
    return Streams(ids, END, TrainConfig(**config), rank, processes)


def epoch(streams: Streams, number: int = 0) -> list[Batch]:
    streams.start_epoch(number)
    return [streams.batch(step) for step in range(streams.steps)]


def by_stream(batches: list[Batch]) -> list[list[int]]:
    """Return the inputs of every stream, step after step."""
    columns = np.concatenate([batch.inputs.numpy() for batch in batches])  # (L, B)
    return [[int(token) for token in column] for column in columns.T]


def test_batches_are_as_the_docstring_draws_them() -> None:
    streams = make(np.arange(13, dtype=np.int32), batch_size=2, bptt_length=3)
    inputs, targets, reset = streams.batch(0)
    assert inputs.tolist() == [[0, 6], [1, 7], [2, 8]]
    assert targets.tolist() == [[1, 7], [2, 8], [3, 9]]
    assert reset.tolist() == [False, False]
    inputs, targets, _ = streams.batch(1)
    assert inputs.tolist() == [[3, 9], [4, 10], [5, 11]]
    assert targets.tolist() == [[4, 10], [5, 11], [6, 12]]
    assert streams.steps == 2


def test_last_step_has_the_remaining_tokens() -> None:
    streams = make(np.arange(16, dtype=np.int32), batch_size=2, bptt_length=3)
    assert (streams.stream_length, streams.steps, streams.lengths) == (7, 3, [3, 3, 1])
    assert [streams.tokens_before(step) for step in range(4)] == [0, 3, 6, 7]
    _, _, (inputs, targets, _) = epoch(streams)
    assert inputs.tolist() == [[6, 13]]
    assert targets.tolist() == [[7, 14]]


@given(
    length=st.integers(2, 200),
    batch_size=st.integers(1, 12),
    bptt_length=st.integers(1, 40),
    random_bptt=st.booleans(),
    partial_shuffle=st.booleans(),
    number=st.integers(0, 3),
)
@settings(deadline=None)
def test_epoch_predicts_every_token_once(
    length: int,
    batch_size: int,
    bptt_length: int,
    random_bptt: bool,
    partial_shuffle: bool,
    number: int,
) -> None:
    config: dict[str, Any] = {"batch_size": batch_size, "bptt_length": bptt_length}
    if length <= batch_size:
        with pytest.raises(CorpusError, match=r"too few for train\.batch_size"):
            make(numbered(length), **config)
        return
    config |= {"random_bptt": random_bptt, "partial_shuffle": partial_shuffle}
    streams = make(numbered(length), **config)
    predicted: list[int] = []
    for batch in epoch(streams, number):
        assert batch.inputs.shape == batch.targets.shape
        assert batch.inputs.shape[1] == batch_size
        assert (batch.targets == batch.inputs + 1).all()
        assert not batch.reset.any()
        predicted += batch.targets.flatten().tolist()
    remainder = (length - 1) % batch_size
    assert sorted(predicted) == list(range(3, length - remainder + 2))
    assert sum(streams.lengths) == streams.stream_length == streams.tokens_before(streams.steps)


def test_random_lengths_depend_on_seed_and_epoch() -> None:
    ids = numbered(4001)
    lengths = []
    for seed, number in ((1, 0), (1, 0), (1, 1), (2, 0)):
        streams = make(ids, batch_size=2, bptt_length=30, random_bptt=True, seed=seed)
        streams.start_epoch(number)
        lengths.append(streams.lengths)
    assert lengths[0] == lengths[1]
    assert lengths[0] != lengths[2] != lengths[3] != lengths[0]


def test_random_lengths_are_distributed_as_the_paper_says() -> None:
    """Lengths are normal around 70 with deviation 5, and around 35 in one step of twenty."""
    streams = make(numbered(400_001), batch_size=2, bptt_length=70, random_bptt=True)
    lengths = np.array(streams.lengths[:-1])
    assert len(lengths) > 2500
    short, usual = lengths[lengths < 52], lengths[lengths >= 52]
    assert abs(len(short) / len(lengths) - 0.05) < 4 * (0.05 * 0.95 / len(lengths)) ** 0.5
    for group, mean in ((short, 35), (usual, 70)):
        assert abs(group.mean() - mean) < 4 * 5 / len(group) ** 0.5
        assert group.std() == pytest.approx(5, rel=0.2)


def test_random_lengths_are_at_least_five() -> None:
    streams = make(numbered(4001), batch_size=1, bptt_length=6, random_bptt=True)
    assert min(streams.lengths[:-1]) == 5


def test_partial_shuffle_rotates_each_stream_each_epoch() -> None:
    count, length = 6, 500
    streams = make(numbered(count * length + 1), batch_size=count, partial_shuffle=True)
    seen = []
    for number in (0, 1, 0):
        starts = []
        for stream, found in enumerate(by_stream(epoch(streams, number))):
            own = list(range(stream * length + 2, (stream + 1) * length + 2))
            turn = own.index(found[0])
            assert found == own[turn:] + own[:turn]
            starts.append(turn)
        assert len(set(starts)) == count
        seen.append(starts)
    assert seen[0] == seen[2]
    assert all(a != b for a, b in zip(seen[0], seen[1], strict=True))


def line_begin(ids: Ids, place: int) -> int:
    """Return the index of the last `<eos>` up to a token, which may be the token itself."""
    while ids[place] != END:
        place -= 1
    return place


def follow(ids: Ids, streams: Streams) -> tuple[int, int]:
    """Read an epoch, and check every step against the text by independent arithmetic.

    Return the number of resets, and of tokens that were read again.
    """
    length = streams.stream_length
    at = list(streams._starts + streams._offsets)  # the next place of each stream
    resets = again = 0
    for batch in (streams.batch(step) for step in range(streams.steps)):
        for stream in range(len(at)):
            begin = stream * length
            if batch.reset[stream]:
                back = line_begin(ids, at[stream])
                assert begin <= back
                assert batch.inputs[0, stream] == END
                resets, again, at[stream] = resets + 1, again + at[stream] - back, back
            pairs = zip(batch.inputs[:, stream], batch.targets[:, stream], strict=True)
            for token, target in pairs:
                assert (token, target) == (ids[at[stream]], ids[at[stream] + 1])
                at[stream] = begin + (at[stream] + 1 - begin) % length
    return resets, again


@pytest.mark.parametrize("partial_shuffle", [False, True])
@pytest.mark.parametrize("random_bptt", [False, True])
def test_reset_stream_rereads_its_line(partial_shuffle: bool, random_bptt: bool) -> None:
    ids = text(8 * 700 + 1)
    streams = make(
        ids,
        batch_size=8,
        bptt_length=9,
        state_reset_probability=0.3,
        partial_shuffle=partial_shuffle,
        random_bptt=random_bptt,
    )
    resets, again = follow(ids, streams)
    steps = 8 * streams.steps
    assert abs(resets / steps - 0.3) < 4 * (0.3 * 0.7 / steps) ** 0.5 + 8 * 7 / steps
    assert 2 * resets < again < 12 * resets  # lines have about seven tokens


def test_reset_at_a_line_start_rereads_nothing() -> None:
    streams = make(np.full(2001, END, np.int32), batch_size=4, state_reset_probability=0.5)
    reset = np.array([batch.reset.tolist() for batch in epoch(streams)])
    assert 0.2 < reset.mean() < 0.8
    assert streams.positions.tolist() == [500] * 4


def test_at_probability_0_no_stream_is_ever_reset() -> None:
    streams = make(text(5000), batch_size=4, bptt_length=5)
    assert not any(batch.reset.any() for batch in epoch(streams))


def test_reset_looks_back_a_bounded_distance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOK_BACK", 20)
    ids = numbered(1001)
    ids[0] = END
    streams = make(ids, batch_size=1, bptt_length=8, state_reset_probability=0.6)
    place, reset = 0, []
    for batch in epoch(streams):
        if batch.reset[0]:
            reset.append(place)
        place = int(batch.targets[-1, 0]) - 2
    assert max(reset) > 0  # at least one reset went back
    assert max(reset) <= 20
    assert place > 500  # and the stream advanced


def test_stream_never_restarts_before_its_beginning() -> None:
    ids = numbered(2001)
    ids[990] = END  # of stream 0's text; stream 1 begins at 1000, in the same line
    streams = make(ids, batch_size=2, bptt_length=8, state_reset_probability=0.9)
    assert not any(batch.reset[1] for batch in epoch(streams))


@pytest.mark.parametrize("processes", [2, 3, 6])
def test_process_batches_are_columns_of_the_whole(processes: int) -> None:
    ids = text(6 * 300 + 1)
    config: dict[str, Any] = {
        "batch_size": 6,
        "bptt_length": 11,
        "random_bptt": True,
        "partial_shuffle": True,
        "state_reset_probability": 0.2,
    }
    whole = make(ids, **config)
    shares = [make(ids, rank, processes, **config) for rank in range(processes)]
    for number in (0, 1):
        for batch, *parts in zip(
            epoch(whole, number), *(epoch(share, number) for share in shares), strict=True
        ):
            for name in ("inputs", "targets", "reset"):
                joined = np.concatenate([getattr(part, name) for part in parts], -1)
                assert joined.tolist() == getattr(batch, name).tolist()


def test_positions_alone_let_a_stream_go_on() -> None:
    """The state that a run saves within an epoch is enough to read the rest of the epoch."""
    ids = text(3000)
    config: dict[str, Any] = {
        "batch_size": 5,
        "bptt_length": 8,
        "random_bptt": True,
        "partial_shuffle": True,
        "state_reset_probability": 0.3,
    }
    expected = epoch(make(ids, **config), 3)
    stopped = make(ids, **config)
    stopped.start_epoch(3)
    for step in range(20):
        stopped.batch(step)
    again = make(ids, **config)
    again.start_epoch(3)
    again.positions[:] = stopped.positions
    for step in range(20, again.steps):
        for found, wanted in zip(again.batch(step), expected[step], strict=True):
            assert found.equal(wanted)
