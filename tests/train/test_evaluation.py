import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train import evaluation
from train.config import ModelConfig
from train.data.corpus import Ids
from train.evaluation import Total, evaluate, evaluate_by_sentence
from train.model.lstm import TiedLSTM

V, END = 9, 1
IDS = st.lists(st.integers(0, V - 1), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def model() -> TiedLSTM:
    torch.manual_seed(0)
    model = TiedLSTM(ModelConfig(embedding_size=5, hidden_size=7, layers=2), V)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model.eval()


@torch.no_grad()
def naive_losses(model: TiedLSTM, ids: list[int]) -> list[float]:
    """Return −log p in Python floats, one token at a time with carried state, after `<eos>`."""
    losses = []
    state, previous = model.zero_state(1), END
    for target in ids:
        hidden, state = model(torch.tensor([[previous]]), state)
        logits = model.logits(hidden)[0, 0].tolist()
        largest = max(logits)
        total = math.fsum(math.exp(x - largest) for x in logits)
        losses.append(math.log(total) - (logits[target] - largest))
        previous = target
    return losses


def naive_sentences(ids: list[int]) -> list[list[int]]:
    sentences: list[list[int]] = [[]]
    for token in ids:
        sentences[-1].append(token)
        if token == END:
            sentences.append([])
    return [sentence for sentence in sentences if sentence]


def array(ids: list[int]) -> Ids:
    return np.array(ids, np.int32)


@settings(max_examples=25, deadline=None)
@given(ids=IDS, block=st.integers(1, 64))
def test_carried_perplexity_is_a_naive_loops(model: TiedLSTM, ids: list[int], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "BATCH_TOKENS", block)
        total = evaluate(model, array(ids), END)
    losses = naive_losses(model, ids)
    assert total.tokens == len(losses)
    assert total.nats == pytest.approx(math.fsum(losses), rel=1e-5)
    assert total.perplexity == pytest.approx(math.exp(math.fsum(losses) / len(ids)), rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(ids=IDS, group=st.integers(1, 5), steps=st.integers(1, 9))
def test_perplexity_by_sentence_is_a_naive_loops(
    model: TiedLSTM, ids: list[int], group: int, steps: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "BATCH_SENTENCES", group)
        patch.setattr(evaluation, "STEPS", steps)
        total = evaluate_by_sentence(model, array(ids), END)
    losses = [x for sentence in naive_sentences(ids) for x in naive_losses(model, sentence)]
    assert total.tokens == len(losses) == len(ids)
    assert total.nats == pytest.approx(math.fsum(losses), rel=1e-5)


def test_real_blocks_count_every_token_once(model: TiedLSTM) -> None:
    ids = np.random.default_rng(0).integers(0, V, 1300).tolist()
    assert evaluate(model, array(ids), END).nats == pytest.approx(
        math.fsum(naive_losses(model, ids)), rel=1e-5
    )
    sentences = naive_sentences(ids)
    assert len(sentences) > 2 * evaluation.BATCH_SENTENCES
    by_sentence = evaluate_by_sentence(model, array(ids), END)
    assert by_sentence.tokens == len(ids)
    assert by_sentence.nats == pytest.approx(
        math.fsum(x for sentence in sentences for x in naive_losses(model, sentence)), rel=1e-5
    )


def test_the_two_counts_differ_only_by_the_state(model: TiedLSTM) -> None:
    one = [3, 4, 5, END]
    assert evaluate(model, array(one), END).nats == pytest.approx(
        evaluate_by_sentence(model, array(one), END).nats, rel=1e-6
    )
    carried = evaluate(model, array(one * 2), END).nats
    anew = evaluate_by_sentence(model, array(one * 2), END).nats
    assert abs(carried - anew) > 1e-3


def test_dropout_is_off_while_evaluating() -> None:
    model = TiedLSTM(ModelConfig(embedding_size=5, hidden_size=7, dropout_output=0.9), V)
    ids = array([2, 3, END, 4, END])
    for measure in (evaluate, evaluate_by_sentence):
        model.train()
        assert measure(model, ids, END) == measure(model, ids, END)


def test_memory_mapped_split_reads_as_an_array(model: TiedLSTM, tmp_path: Path) -> None:
    ids = array([2, 3, END, 4, 5, END])
    ids.tofile(tmp_path / "a.ids")
    mapped = np.memmap(tmp_path / "a.ids", np.int32, mode="r")
    for measure in (evaluate, evaluate_by_sentence):
        assert measure(model, mapped, END) == measure(model, ids, END)


def test_perplexity_never_overflows() -> None:
    assert Total(nats=math.log(7) * 3, tokens=3).perplexity == pytest.approx(7)
    assert Total(nats=0.0, tokens=5).perplexity == 1
    assert Total(nats=1e6, tokens=2).perplexity == math.inf
