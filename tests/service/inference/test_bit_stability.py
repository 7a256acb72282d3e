"""int8: a score is the same bit for bit alone, in any batch, in pieces, and under load."""

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


def sequence(engine: OnnxEngine, ids: list[int]) -> InferenceTask:
    array = np.array(ids, np.int64)
    return InferenceTask(array[:-1], array[1:], engine.zero_state())


def alone(engine: OnnxEngine, ids: list[int]) -> bytes:
    one = sequence(engine, ids)
    run_batch(engine, [one], len(ids))
    return one.decoded().logprobs.tobytes()


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 16, 33, 64])
def test_batch_mates_order_and_pieces_change_no_bit(engine: OnnxEngine, batch: int) -> None:
    chance = random.Random(batch)
    texts = [
        [chance.randrange(engine.vocabulary_size) for _ in range(chance.randint(2, 40))]
        for _ in range(batch)
    ]
    expected = [alone(engine, ids) for ids in texts]
    order = chance.sample(range(batch), batch)
    sequences = {index: sequence(engine, texts[index]) for index in order}
    while left := [s for s in sequences.values() if s.remaining]:
        run_batch(engine, left, chance.randint(1, 12))
    assert [sequences[i].decoded().logprobs.tobytes() for i in range(batch)] == expected


@given(st.lists(st.lists(st.integers(0, 13_999), min_size=2, max_size=20), min_size=1, max_size=9))
def test_any_batch_gives_the_bits_of_each_alone(engine: OnnxEngine, texts: list[list[int]]) -> None:
    sequences = [sequence(engine, ids) for ids in texts]
    run_batch(engine, sequences, 20)
    together = [s.decoded().logprobs.tobytes() for s in sequences]
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


def test_sixty_four_clients_get_the_bits_that_one_gets(api: ApiClient) -> None:
    chance = random.Random(3)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 60))) for _ in range(192)]
    expected = [logprobs(api.score_one(text=text)) for text in texts]
    with ThreadPoolExecutor(64) as clients:
        found = list(clients.map(lambda text: logprobs(api.score_one(text=text)), texts))
    assert found == expected


def test_five_thousand_cuts_continue_to_the_same_bits(
    engine: OnnxEngine, model: LanguageModel
) -> None:
    chance = random.Random(5)
    cuts = 0
    while cuts < 5000:
        ids = [chance.randrange(engine.vocabulary_size) for _ in range(chance.randint(2, 12))]
        pieces = sequence(engine, ids)
        run_batch(engine, [pieces], chance.randint(1, 2))
        while pieces.remaining:
            pieces.state = model._states.open(model._states.seal(pieces.state))
            cuts += 1
            run_batch(engine, [pieces], chance.randint(1, 2))
        assert pieces.decoded().logprobs.tobytes() == alone(engine, ids)
