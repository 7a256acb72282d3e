"""The engine and its batches have the figures of the same graphs, run one token at a time."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.inference.engine import OnnxEngine
from service.inference.task import UNSCORED, InferenceTask, run_batch
from service.language_model import LanguageModel

NATS = 1e-5
END = 1

token_ids = st.lists(st.integers(0, 9999), min_size=1, max_size=30)


@pytest.fixture(scope="module")
def engine(model: LanguageModel) -> OnnxEngine:
    return model._engine


def step_by_step(engine: OnnxEngine, ids: list[int]) -> list[float]:
    """Return log p(ids[i + 1] | ids[… i]) from batches of one step."""
    state, found = engine.zero_state()[None], []
    for token, target in pairwise(ids):
        one = np.array([1], np.int32)
        hidden, state = engine.encode(np.array([[token]], np.int64), one, state)
        found.append(float(engine.log_distribution(hidden)[0, target]))
    return found


def make_task(engine: OnnxEngine, ids: list[int], **options: int | bool) -> InferenceTask:
    array = np.array(ids, np.int64)
    task = InferenceTask(array[:-1], array[1:].copy(), engine.zero_state())
    for name, value in options.items():
        setattr(task, name, value)
    return task


@settings(max_examples=20)
@given(ids=st.lists(token_ids, min_size=1, max_size=6), chunk_length=st.integers(1, 40))
def test_padding_and_chunks_never_change_a_score(
    engine: OnnxEngine, ids: list[list[int]], chunk_length: int
) -> None:
    tasks = [make_task(engine, [END, *each]) for each in ids]
    while any(each.remaining for each in tasks):
        run_batch(engine, [each for each in tasks if each.remaining], chunk_length)
    for each, done in zip(ids, tasks, strict=True):
        assert done.decoded().logprobs == pytest.approx(
            step_by_step(engine, [END, *each]), abs=NATS
        )


def test_unscored_inputs_still_advance_the_state(engine: OnnxEngine) -> None:
    ids = [END, 12, 7, 30, 2]
    half = make_task(engine, ids)
    half.targets[:2] = UNSCORED
    run_batch(engine, [half], 100)
    assert half.decoded().logprobs == pytest.approx(step_by_step(engine, ids)[2:], abs=NATS)


def test_blocks_of_targets_are_decoded_in_order(engine: OnnxEngine) -> None:
    ids = [END, *(np.arange(3 * engine.block_rows + 5) % 500).tolist()]
    long = make_task(engine, ids)
    run_batch(engine, [long], len(ids))
    assert len(long.decoded().logprobs) == len(ids) - 1
    for at in (1, engine.block_rows - 1, engine.block_rows, len(ids) - 2):
        again = make_task(engine, ids[: at + 2])
        again.targets[:at] = UNSCORED
        run_batch(engine, [again], len(ids))
        assert again.decoded().logprobs == pytest.approx(long.decoded().logprobs[at : at + 1])


def test_details_and_top_follow_from_the_distribution(engine: OnnxEngine) -> None:
    ids = [END, 2, 5, 1, 0]
    detailed = make_task(engine, ids, details=True, top=7)
    run_batch(engine, [detailed], 100)
    found = detailed.decoded()
    assert found.ranks is not None
    assert found.entropies is not None
    assert found.top_ids is not None
    assert found.top_logprobs is not None
    state = engine.zero_state()[None]
    for index, (token, target) in enumerate(pairwise(ids)):
        one = np.array([1], np.int32)
        hidden, state = engine.encode(np.array([[token]], np.int64), one, state)
        row = engine.log_distribution(hidden)[0].astype(np.float64)
        order = np.lexsort((np.arange(len(row)), -row))
        assert found.ranks[index] == 1 + order.tolist().index(target)
        assert found.entropies[index] == pytest.approx(-(np.exp(row) * row).sum(), abs=1e-4)
        assert found.top_ids[index].tolist() == order[:7].tolist()
        assert found.top_logprobs[index] == pytest.approx(row[order[:7]], abs=NATS)


def test_top_beyond_the_vocabulary_is_the_vocabulary(engine: OnnxEngine) -> None:
    ids = [END, 2, 5]
    whole = make_task(engine, ids, top=engine.vocabulary_size + 1)
    run_batch(engine, [whole], 100)
    found = whole.decoded()
    assert found.top_ids is not None
    assert found.top_ids.shape == (2, engine.vocabulary_size)
    assert sorted(found.top_ids[0].tolist()) == list(range(engine.vocabulary_size))


def test_each_task_has_its_own_options(engine: OnnxEngine) -> None:
    plain = make_task(engine, [END, 4, 8])
    top = make_task(engine, [END, 4, 8], top=3)
    unscored = make_task(engine, [END, 4, 8])
    unscored.targets[:] = UNSCORED
    run_batch(engine, [plain, top, unscored], 100)
    assert plain.decoded().top_ids is None
    assert top.decoded().top_ids is not None
    assert plain.decoded().logprobs.tolist() == top.decoded().logprobs.tolist()
    assert unscored.decoded().logprobs.tolist() == []


def test_a_log_distribution_sums_to_one(engine: OnnxEngine) -> None:
    rows = engine.log_distribution(np.zeros((2, engine.embedding_size), np.float32))
    assert rows.shape == (2, engine.vocabulary_size)
    assert np.exp(rows.astype(np.float64)).sum(axis=-1) == pytest.approx(1, abs=1e-5)
