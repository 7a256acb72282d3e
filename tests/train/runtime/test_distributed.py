"""Tests with two processes on one machine, as `torchrun` starts them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support.tiny_training import EVERYTHING, ROOT, contents, tensors_equal, write_corpus
from tests.support.train_command import Capture, Train, fails
from train import job
from train.checkpoint import load_model
from train.config_file import load_config
from train.errors import ConfigError, CorpusError
from train.report.metrics import read_metrics
from train.runtime.distributed import Processes, process_group

NO_DROPOUT = ("model.dropout_input=0.0", "model.dropout_hidden=0.0", "model.dropout_output=0.0")

GIVE = (
    "give all of train, valid and test (.txt, .txt.gz or a folder of them), or texts whose names "
    "are not those of splits"
)


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def sets(settings: tuple[str, ...]) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


def torchrun(train: Train, *settings: str) -> tuple[int, str, str]:
    """Return the exit code, output and errors of two processes."""
    command = [sys.executable, "-W", "error::UserWarning", "-m", "torch.distributed.run"]
    command += ["--nproc-per-node", "2", "--master-port", free_port(), "-m", "train"]
    done = subprocess.run(
        [*command, *train.arguments(*sets(settings))],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


def two(module: str, train: Train, *settings: str) -> list[tuple[int, str]]:
    """Return exit codes and errors of two processes without `torchrun` and its own messages."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", module, *train.arguments(*sets(settings))],
            cwd=ROOT,
            env={**os.environ, **place, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        said = [process.communicate(timeout=300)[1] for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    return [(process.returncode, err) for process, err in zip(started, said, strict=True)]


def training_losses(folder: Path) -> list[tuple[int, int, float]]:
    return [
        (line["step"], line["tokens"], line["cross_entropy"])
        for line in read_metrics(folder / "metrics.jsonl")
        if line["kind"] == "train"
    ]


@pytest.fixture
def long(train: Train) -> Train:
    write_corpus(train.data, train_lines=84)
    return train


def test_two_processes_learn_what_one_does(long: Train, tmp_path: Path) -> None:
    """The batches are the same, the order of sums differs. 42 steps, a save after each."""
    settings = (*NO_DROPOUT, "train.state_reset_probability=0.2", "loss.activation=1.0")
    alone = Train(long.config, long.data, tmp_path / "alone")
    assert alone(*sets(settings)) == 0
    code, out, err = torchrun(long, *settings)
    assert code == 0, err
    assert out.count("epoch 2: validation perplexity") == 1  # only rank 0 prints
    assert out.count("perplexity, state carried:") == 1
    found, expected = training_losses(long.out), training_losses(alone.out)
    assert len(found) >= 40
    for (step, tokens, loss), wanted in zip(found, expected, strict=True):
        assert (step, tokens) == wanted[:2]
        assert loss == pytest.approx(wanted[2], abs=1e-3)
    assert expected[0][2] - expected[-1][2] > 0.2  # both learned
    assert contents(long.out).keys() == contents(alone.out).keys()
    report, single = (
        json.loads((folder / "report.json").read_text()) for folder in (long.out, alone.out)
    )
    assert report["perplexity"]["test"] == pytest.approx(single["perplexity"]["test"], rel=1e-3)
    assert report["splits"] == single["splits"]


def test_processes_agree_on_the_weights_whatever_is_random(long: Train) -> None:
    for code, err in two("tests.support.torchrun_ranks", long, *EVERYTHING):
        assert code == 0, err
    first, second = (torch.load(long.out / f"rank-{rank}.pt") for rank in (0, 1))
    assert tensors_equal(first, second)
    model, _, _ = load_model(long.out)
    assert not tensors_equal(first, model.state_dict())  # model.pt has the average
    assert read_metrics(long.out / "metrics.jsonl")[-1]["kind"] == "validation"
    assert len(training_losses(long.out)) >= 40


def test_an_error_before_training_is_said_once(train: Train) -> None:
    (train.data / "valid.txt").unlink()
    said, silent = two("train", train)
    assert said == (1, f"error: --data {train.data}: there is no valid; {GIVE}\n")
    assert silent == (1, "")


def test_only_rank_zero_prints_an_error(
    train: Train, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert train("--set", "train.epoch=1") == 1
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("RANK", "0")
    assert "train.epoch: unknown key" in fails(train, capsys, "--set", "train.epoch=1")


def test_streams_are_shared_evenly_or_not_at_all() -> None:
    assert [Processes(rank, 3).local_batch_size(12) for rank in range(3)] == [4, 4, 4]
    with pytest.raises(
        ConfigError, match=r"train\.batch_size = 4 cannot be divided among 3 processes"
    ):
        Processes(0, 3).local_batch_size(4)


def test_indivisible_batch_size_writes_nothing(tmp_path: Path, train: Train) -> None:
    config = load_config(train.config, [])
    with pytest.raises(ConfigError, match="cannot be divided among 3"):
        job.train(config, train.data, train.out, train.out, Processes(0, 3))
    assert not train.out.exists()


def test_one_process_waits_for_nobody() -> None:
    alone = Processes()
    assert alone.is_main
    assert alone.broadcast(3.5) == 3.5
    assert alone.mean(torch.tensor(2.0)).item() == 2.0
    assert alone.gather("own") == ["own"]
    assert alone.rank_zero_first(lambda: "done") == "done"
    with pytest.raises(CorpusError, match="no text"):
        alone.rank_zero_first(_fail)
    with process_group(use_gpu=False) as group:
        assert (group.rank, group.world_size) == (0, 1)


def _fail() -> None:
    raise CorpusError("no text")
