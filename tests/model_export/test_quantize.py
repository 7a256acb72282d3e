import numpy as np
import onnx
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model_export.quantize import quantize_rows
from service.bundle import Bundle
from tests.support.numpy_lstm import Exported

NUMBERS = st.floats(-1e6, 1e6, width=32).filter(lambda x: x == 0 or abs(x) > 1e-6)
MATRICES = st.integers(1, 6).flatmap(
    lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1)
)


@settings(max_examples=100, deadline=None)
@given(rows=MATRICES)
@example(rows=[[0.0, 0.0], [1.0, -1.0]])
def test_rows_round_to_seven_bits(
    rows: list[list[float]],
) -> None:
    values = np.array(rows, np.float32)
    integers, scales = quantize_rows(values)
    assert (integers.dtype, scales.dtype) == (np.dtype(np.int8), np.dtype(np.float32))
    assert (scales > 0).all()
    for row, quantized, scale in zip(rows, integers.tolist(), scales.tolist(), strict=True):
        largest = max(map(abs, row))
        assert max(map(abs, quantized)) == (63 if largest else 0)
        for value, integer in zip(row, quantized, strict=True):
            assert abs(value - integer * scale) <= scale * (0.5 + 1e-4)


def test_tied_matrix_is_stored_once_in_seven_bits(exported: Exported) -> None:
    contents = Bundle.load(exported.bundle("int8")).contents
    embedding = exported.model.embedding.weight.detach().numpy()
    steps = np.abs(embedding).max(axis=1, keepdims=True) / np.float32(63)
    integers = np.rint(embedding / steps).astype(np.int8)
    assert sum(content.count(integers.tobytes()) for content in contents.values()) == 1
    assert sum(content.count(integers.T.tobytes()) for content in contents.values()) == 0
    assert all(embedding.tobytes() not in content for content in contents.values())
    for name in ("encoder.onnx", "decoder.onnx"):
        tensors = onnx.load_model_from_string(contents[name]).graph.initializer
        (tensor,) = [tensor for tensor in tensors if tensor.name == "embedding"]
        assert tensor.data_type == onnx.TensorProto.INT8


def test_states_and_hidden_vectors_have_the_models_width(exported: Exported) -> None:
    plain, small = exported.engine("float32"), exported.engine("int8")
    assert (small.state_size, small.embedding_size) == (plain.state_size, plain.embedding_size)
    ids = np.array([[2, 3, 4]])
    hidden, state = small.encode(ids, np.array([3], np.int32), small.zero_state()[None])
    assert hidden.shape == (3, plain.embedding_size)
    assert state.shape == (1, plain.state_size)


def test_scores_are_near_those_of_the_equations(exported: Exported) -> None:
    engine, random = exported.engine("int8"), np.random.default_rng(0)
    differences = []
    for _ in range(10):
        ids = random.integers(0, exported.vocabulary, 20)
        state = np.zeros(engine.state_size)
        expected_hidden, expected_state = exported.numpy.run(ids, state)
        hidden, new_state = engine.encode(
            ids[None], np.array([20], np.int32), engine.zero_state()[None]
        )
        assert np.abs(new_state[0] - expected_state).mean() < 0.05
        expected = exported.numpy.log_distribution(expected_hidden)
        differences.append(np.abs(engine.log_distribution(hidden) - expected))
    spread = float(np.std(expected))
    assert np.mean(differences) < 0.05 * spread


def scores(exported: Exported, batch: list[list[int]], cut: int) -> list[bytes]:
    """Return the bits of every text's distributions and state, read in two chunks."""
    engine = exported.engine("int8")
    states = np.tile(engine.zero_state(), (len(batch), 1))
    bits = [b""] * len(batch)
    for part in ([text[:cut] for text in batch], [text[cut:] for text in batch]):
        rows = [index for index, text in enumerate(part) if text]
        if not rows:
            continue
        lengths = np.array([len(part[row]) for row in rows], np.int32)
        ids = np.zeros((len(rows), lengths.max()), np.int64)
        for line, row in zip(ids, rows, strict=True):
            line[: len(part[row])] = part[row]
        hidden, states[rows] = engine.encode(ids, lengths, states[rows])
        distributions = engine.log_distribution(hidden)
        for row, own in zip(rows, np.split(distributions, np.cumsum(lengths)[:-1]), strict=True):
            bits[row] += own.tobytes()
    return [row + state.tobytes() for row, state in zip(bits, states, strict=True)]


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(6)), count=st.integers(1, 6), cut=st.integers(1, 20))
def test_scores_are_bit_equal_in_batches_and_chunks(
    exported: Exported, order: list[int], count: int, cut: int
) -> None:
    random = np.random.default_rng(1)
    texts = [random.integers(0, 50, length).tolist() for length in (1, 30, 7, 7, 2, 19)]
    together = scores(exported, [texts[index] for index in order[:count]], cut)
    for index, bits in zip(order, together, strict=False):
        assert bits == scores(exported, [texts[index]], cut=99)[0]
