import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from model_export.weights import ALIGNMENT, FILE, WeightsFile


def place(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


@settings(max_examples=50, deadline=None)
@given(
    shapes=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3), max_size=6),
    dtype=st.sampled_from([np.float32, np.int8, np.uint8]),
)
def test_tensors_are_aligned_at_their_offsets(
    shapes: list[list[int]], dtype: type[np.generic]
) -> None:
    weights, random = WeightsFile(), np.random.default_rng(0)
    written = [random.integers(0, 100, shape).astype(dtype) for shape in shapes]
    tensors = [weights.tensor(f"t{index}", values) for index, values in enumerate(written)]
    end = 0
    for tensor, values in zip(tensors, written, strict=True):
        where = place(tensor)
        offset, length = int(where["offset"]), int(where["length"])
        assert where["location"] == FILE
        assert tensor.data_location == TensorProto.EXTERNAL
        assert offset % ALIGNMENT == 0
        assert end <= offset < end + ALIGNMENT
        stored = np.frombuffer(weights.content[offset : offset + length], dtype)
        assert np.array_equal(stored.reshape(tuple(tensor.dims)), values)
        end = offset + length
    assert len(weights.content) == end


def test_a_name_given_again_is_stored_once() -> None:
    weights, values = WeightsFile(), np.ones((3, 4), np.float32)
    first = weights.tensor("embedding", values)
    size = len(weights.content)
    assert weights.tensor("embedding", values) == first
    assert len(weights.content) == size == 48


def test_transposed_view_is_stored_row_by_row() -> None:
    weights, values = WeightsFile(), np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = weights.tensor("transposed", values.T)
    assert list(tensor.dims) == [3, 2]
    assert np.frombuffer(weights.content, np.float32).tolist() == [0, 3, 1, 4, 2, 5]
