"""With int8, a score is bit for bit the same alone, in any batch, in chunks, and under load."""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.engine import OnnxEngine
from service.inference.task import InferenceTask, run_batch
from service.language_model import LanguageModel
from tests.support.api_client import ApiClient, logprobs

WORDS = ["the", "band", "was", "born", "in", "London", ",", "1990", "xyzzy", "(", "<unk>"]


@pytest.fixture(scope="module")
def engine(model: LanguageModel) -> OnnxEngine:
    assert model.bundle.manifest.precision == "int8"
    return model._engine


def make_task(engine: OnnxEngine, ids: list[int]) -> InferenceTask:
    array = np.array(ids, np.int64)
    return InferenceTask(array[:-1], array[1:], engine.zero_state())


def alone(engine: OnnxEngine, ids: list[int]) -> bytes:
    task = make_task(engine, ids)
    run_batch(engine, [task], len(ids))
    return task.decoded().logprobs.tobytes()


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 16, 33, 64])
def test_batch_order_and_chunks_change_no_bit(engine: OnnxEngine, batch: int) -> None:
    generator = random.Random(batch)
    texts = [
        [generator.randrange(engine.vocabulary_size) for _ in range(generator.randint(2, 40))]
        for _ in range(batch)
    ]
    expected = [alone(engine, ids) for ids in texts]
    order = generator.sample(range(batch), batch)
    tasks = {index: make_task(engine, texts[index]) for index in order}
    while unfinished := [task for task in tasks.values() if task.remaining]:
        run_batch(engine, unfinished, generator.randint(1, 12))
    assert [tasks[i].decoded().logprobs.tobytes() for i in range(batch)] == expected


@given(st.lists(st.lists(st.integers(0, 13_999), min_size=2, max_size=20), min_size=1, max_size=9))
def test_any_batch_has_the_bits_of_each_alone(engine: OnnxEngine, texts: list[list[int]]) -> None:
    tasks = [make_task(engine, ids) for ids in texts]
    run_batch(engine, tasks, 20)
    together = [task.decoded().logprobs.tobytes() for task in tasks]
    assert together == [alone(engine, ids) for ids in texts]


def test_a_distribution_does_not_depend_on_its_batch(engine: OnnxEngine) -> None:
    states = np.tanh(np.random.default_rng(0).normal(size=(40, engine.state_size)))
    hidden = engine.hidden(states.astype(np.float32))
    together = engine.log_distribution(hidden)
    for row in (0, 1, 20, 39):
        assert engine.log_distribution(hidden[row : row + 1]).tobytes() == together[row].tobytes()


def test_details_and_top_change_no_logprob(engine: OnnxEngine) -> None:
    hidden = np.random.default_rng(1).uniform(-1, 1, (30, engine.embedding_size)).astype(np.float32)
    targets = np.arange(30)
    plain = engine.decode(hidden, targets, details=False, top=0)
    detailed = engine.decode(hidden, targets, details=True, top=3)
    assert plain.logprobs.tobytes() == detailed.logprobs.tobytes()
    assert plain.ranks is None
    assert plain.top_ids is None


def test_64_clients_get_the_bits_of_one(api: ApiClient) -> None:
    generator = random.Random(3)
    texts = [" ".join(generator.choices(WORDS, k=generator.randint(1, 60))) for _ in range(192)]
    expected = [logprobs(api.score_one(text=text)) for text in texts]
    with ThreadPoolExecutor(64) as clients:
        found = list(clients.map(lambda text: logprobs(api.score_one(text=text)), texts))
    assert found == expected


def test_5000_state_handles_continue_bit_for_bit(engine: OnnxEngine, model: LanguageModel) -> None:
    generator = random.Random(5)
    cuts = 0
    while cuts < 5000:
        ids = [generator.randrange(engine.vocabulary_size) for _ in range(generator.randint(2, 12))]
        task = make_task(engine, ids)
        run_batch(engine, [task], generator.randint(1, 2))
        while task.remaining:
            task.state = model._states.open(model._states.seal(task.state))
            cuts += 1
            run_batch(engine, [task], generator.randint(1, 2))
        assert task.decoded().logprobs.tobytes() == alone(engine, ids)
