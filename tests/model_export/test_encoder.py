import numpy as np
import pytest

from tests.support.numpy_lstm import Exported

BATCHES = [[1], [6], [3, 3], [1, 9, 4, 1, 30], [5, 1, 1, 2]]


@pytest.mark.parametrize("lengths", BATCHES, ids=str)
@pytest.mark.parametrize("start", ["zero", "random"])
def test_encoder_equals_the_equations(exported: Exported, lengths: list[int], start: str) -> None:
    engine, random = exported.engine(), np.random.default_rng(len(lengths))
    ids = random.integers(0, exported.vocabulary, (len(lengths), max(lengths)))
    states = np.zeros((len(lengths), engine.state_size), np.float32)
    if start == "random":
        states = random.uniform(-1, 1, states.shape).astype(np.float32)
    hidden, new_states = engine.encode(ids, np.array(lengths, np.int32), states)
    expected = [
        exported.numpy.run(row[:length], state.astype(np.float64))
        for row, length, state in zip(ids, lengths, states, strict=True)
    ]
    assert hidden.shape == (sum(lengths), engine.embedding_size)
    assert np.abs(hidden - np.concatenate([h for h, _ in expected])).max() < 1e-5
    assert np.abs(new_states - np.stack([state for _, state in expected])).max() < 1e-5


def test_sentences_score_as_the_equations_say(exported: Exported) -> None:
    """Encoder and decoder score a text after `<eos>` to within 1e-4 nats per token."""
    engine, random = exported.engine(), np.random.default_rng(7)
    lengths = [4, 11, 1, 25]
    targets = [random.integers(0, exported.vocabulary, length) for length in lengths]
    ids = np.zeros((len(lengths), max(lengths)), np.int64)
    for row, target in zip(ids, targets, strict=True):
        row[: len(target)] = [1, *target[:-1]]
    states = np.tile(engine.zero_state(), (len(lengths), 1))
    hidden, _ = engine.encode(ids, np.array(lengths, np.int32), states)
    found = engine.decode(hidden, np.concatenate(targets), details=False, top=0).logprobs
    expected = []
    for target in targets:
        vectors, _ = exported.numpy.run(
            np.array([1, *target[:-1]]), np.zeros(engine.state_size, np.float64)
        )
        rows = exported.numpy.log_distribution(vectors)
        expected += [row[word] for row, word in zip(rows, target, strict=True)]
    assert np.abs(found - expected).max() < 1e-4
    assert np.std(expected) > 0.5  # the scores are worth comparing


def test_what_stands_in_the_padding_changes_nothing(exported: Exported) -> None:
    engine, random = exported.engine(), np.random.default_rng(1)
    lengths = np.array([2, 8, 5], np.int32)
    states = random.uniform(-1, 1, (3, engine.state_size)).astype(np.float32)
    ids = random.integers(0, exported.vocabulary, (3, 8))
    other = np.where(np.arange(8) < lengths[:, None], ids, exported.vocabulary - 1)
    assert (other != ids).any()
    for first, second in zip(
        engine.encode(ids, lengths, states), engine.encode(other, lengths, states), strict=True
    ):
        assert np.array_equal(first, second)


def test_chunks_end_in_the_state_of_the_whole(exported: Exported) -> None:
    engine = exported.engine()
    ids = np.random.default_rng(2).integers(0, exported.vocabulary, (1, 20))
    state = engine.zero_state()[None]
    whole, end = engine.encode(ids, np.array([20], np.int32), state)
    pieces = []
    for begin, stop in ((0, 1), (1, 9), (9, 20)):
        piece = ids[:, begin:stop]
        hidden, state = engine.encode(piece, np.array([stop - begin], np.int32), state)
        pieces.append(hidden)
    assert np.abs(np.concatenate(pieces) - whole).max() < 1e-6
    assert np.abs(state - end).max() < 1e-6


def test_a_state_ends_with_the_last_hidden_vector(exported: Exported) -> None:
    engine = exported.engine()
    ids = np.random.default_rng(3).integers(0, exported.vocabulary, (2, 6))
    states = np.tile(engine.zero_state(), (2, 1))
    hidden, states = engine.encode(ids, np.array([6, 6], np.int32), states)
    assert np.array_equal(engine.hidden(states), hidden[[5, 11]])
