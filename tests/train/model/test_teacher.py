from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.tiny_training import write_checkpoint
from train.config import ModelConfig, TeacherConfig, TokenizerConfig
from train.data.tokenizer import fit_tokenizer
from train.errors import CheckpointError, ConfigError
from train.model.lstm import TiedLSTM
from train.model.teacher import Teacher

V, B = 20, 3
SIZES = ModelConfig(embedding_size=5, hidden_size=7, layers=2, dropout_output=0.5)
TOKENIZER = fit_tokenizer(
    TokenizerConfig(kind="whitespace"), [" ".join(f"w{index}" for index in range(2, V))]
)
ALL = torch.ones(B, dtype=torch.bool)


@pytest.fixture
def taught(tmp_path: Path) -> tuple[Teacher, TiedLSTM]:
    folder, network = write_checkpoint(tmp_path / "teacher", SIZES, V)
    config = TeacherConfig(checkpoint=str(folder))
    return Teacher(config, TOKENIZER, B, torch.device("cpu")), network


def some_ids(seed: int) -> Tensor:
    return torch.randint(0, V, (4, B), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def naive(network: TiedLSTM, ids: Tensor) -> Tensor:
    """Return logits (T · B, V) of a text read at once, from the zero state, without dropout."""
    hidden, _ = network.eval()(ids, network.zero_state(ids.shape[1]))
    return network.logits(hidden).flatten(0, 1)


def test_the_state_is_carried_and_forgotten(taught: tuple[Teacher, TiedLSTM]) -> None:
    teacher, network = taught
    first, second = some_ids(1), some_ids(2)
    whole = naive(network, torch.cat([first, second]))
    found = [teacher.forward(ids, ALL).logits() for ids in (first, second)]
    torch.testing.assert_close(torch.cat(found), whole)
    teacher.reset_state()
    torch.testing.assert_close(teacher.forward(second, ALL).logits(), naive(network, second))


def test_reset_streams_start_from_zero(
    taught: tuple[Teacher, TiedLSTM],
) -> None:
    teacher, network = taught
    first, second = some_ids(1), some_ids(2)
    teacher.forward(first, ALL)
    found = teacher.forward(second, torch.tensor([True, False, True])).logits().view(4, B, V)
    whole = naive(network, torch.cat([first, second]))[4 * B :].view(4, B, V)
    torch.testing.assert_close(found[:, [0, 2]], whole[:, [0, 2]])
    torch.testing.assert_close(found[:, 1], naive(network, second).view(4, B, V)[:, 1])


def test_output_by_rows_equals_the_whole(taught: tuple[Teacher, TiedLSTM]) -> None:
    output = taught[0].forward(some_ids(1), ALL)
    parts = [output.rows(slice(begin, begin + 5)).logits() for begin in range(0, 12, 5)]
    torch.testing.assert_close(torch.cat(parts), output.logits())
    assert not output.logits().requires_grad


def test_a_teacher_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    folder, _ = write_checkpoint(tmp_path / "teacher", SIZES, V + 1)
    config = TeacherConfig(checkpoint=str(folder))
    with pytest.raises(ConfigError, match=r"loss\.teacher\.checkpoint: .*another vocabulary"):
        Teacher(config, TOKENIZER, B, torch.device("cpu"))


def test_a_teacher_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = TeacherConfig(checkpoint=str(tmp_path / "nobody"))
    with pytest.raises(CheckpointError, match="nobody"):
        Teacher(config, TOKENIZER, B, torch.device("cpu"))
