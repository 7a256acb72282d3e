"""Tests of sampled text against the distribution of the model."""

import numpy as np
import pytest
import torch

from train.config import ModelConfig, TokenizerConfig
from train.data.tokenizer import fit_tokenizer
from train.model.lstm import TiedLSTM
from train.report.sampling import MAX_TOKENS, beginnings, continue_text, sample

END = 1
SIZES = ModelConfig(embedding_size=6, hidden_size=5, layers=2)


def random_model(vocabulary: int = 12) -> TiedLSTM:
    torch.manual_seed(3)
    model = TiedLSTM(SIZES, vocabulary)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=1.5)
    return model


def unigram_model(logits: list[float]) -> TiedLSTM:
    """Return a model that predicts softmax(logits) after any text."""
    model = TiedLSTM(SIZES, len(logits))
    with torch.no_grad():
        model.embedding.weight.zero_()
        model.output_bias.copy_(torch.tensor(logits))
    return model


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_samples_depend_on_the_seed() -> None:
    model = random_model()
    draws = [sample(model, [4, 5], END, [0, END], 1.0, seeded(seed)) for seed in (7, 7, 8)]
    assert draws[0] == draws[1] != draws[2]
    assert len(draws[0]) == MAX_TOKENS


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_equal_the_softmax(temperature: float) -> None:
    logits = [3.0, -50.0, 0.0, 1.0, 2.0]
    count = 3000
    drawn = sample(unigram_model(logits), [], END, [0], temperature, seeded(1), count)
    weights = np.exp(np.array(logits[2:]) / temperature)
    expected = weights / weights.sum()
    found = np.bincount(drawn, minlength=5)[2:] / len(drawn)
    assert len(drawn) == count
    deviation = np.sqrt(expected * (1 - expected) / count)
    assert np.all(np.abs(found - expected) < 5 * deviation)


def test_a_forbidden_token_is_never_drawn_however_probable() -> None:
    drawn = sample(unigram_model([100.0, 0.0, 0.0, 0.0]), [], END, [0, END], 5.0, seeded(1))
    assert set(drawn) == {2, 3}


def test_temperature_near_zero_draws_the_most_probable() -> None:
    model = random_model().eval()
    firsts = set()
    for prompt in ([4, 9], [9, 4], [], [2], [7, 7, 7], [11, 3]):
        drawn = sample(model, prompt, END, [END], 1e-300, seeded(1), max_tokens=6)
        for length in range(6):
            context = torch.tensor([END, *prompt, *drawn[:length]])
            with torch.no_grad():
                hidden, _ = model(context[:, None], model.zero_state(1))
                logits = model.logits(hidden[-1, 0])
            logits[END] = -torch.inf
            assert drawn[length] == logits.argmax().item()
        firsts.add(drawn[0])
    assert len(firsts) > 2  # the context matters


def test_a_sentence_ends_before_its_end_of_sentence() -> None:
    assert sample(unigram_model([0.0, 90.0, 0.0]), [2], END, [0], 1.0, seeded(1)) == []
    likely = unigram_model([0.0, 0.0, 2.0])
    draws = [sample(likely, [], END, [0], 1.0, seeded(seed)) for seed in range(20)]
    assert {token for drawn in draws for token in drawn} == {2}
    assert 3 < sum(map(len, draws)) / 20 < 12  # e² tokens are expected


def test_sample_has_its_prompt_and_no_unk() -> None:
    tokenizer = fit_tokenizer(TokenizerConfig(kind="whitespace"), ["a b c"])
    endless = unigram_model([50.0, -50.0, 0.0, 0.0, 0.0])
    text = continue_text(endless, tokenizer, "b a", 1.0, seeded(1))
    words = text.split()
    assert words[:2] == ["b", "a"]
    assert set(words[2:-1]) <= {"a", "b", "c"}
    assert len(words) == 2 + MAX_TOKENS + 1
    assert words[-1] == "…"
    short = unigram_model([0.0, 50.0, 0.0, 0.0, 0.0])
    assert continue_text(short, tokenizer, "b a", 1.0, seeded(1)) == "b a"


def test_beginnings_differ_and_have_no_unk() -> None:
    tokenizer = fit_tokenizer(TokenizerConfig(kind="whitespace"), ["a b c d e"])
    lines = ["a b c d", "a x c d", "a b c e", "a b", "b c d e", "c d e a"]
    ids = [i for s in lines for i in (*tokenizer.encode(s).ids, END)]
    assert beginnings(tokenizer, np.array(ids, np.int32), 2) == ["a b c", "b c d"]
    assert beginnings(tokenizer, np.array(ids, np.int32), 100) == ["a b c", "b c d", "c d e"]
    assert beginnings(tokenizer, np.array([], np.int32), 3) == []
