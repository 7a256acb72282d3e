"""Tests of runs that a kill, a full disk or a user stopped, and of their resumption."""

import gzip
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_training import (
    EVERYTHING,
    contents,
    full_disk,
    start,
    tensors_equal,
    write_corpus,
)
from tests.support.train_command import Capture, Train, fails, last_line, partial_files
from train import job
from train.checkpoint import Checkpoint, load_model
from train.loop import TrainingRun
from train.report.metrics import read_metrics


def kill_at(train: Train, lines: int, after_seconds: float, *more: str) -> int:
    """Kill the command some time after a line of its log. Return the step of its last save."""
    process = start("train", *train.arguments(*more))
    metrics = train.out / "metrics.jsonl"
    while not (metrics.exists() and len(read_metrics(metrics)) >= lines):
        assert process.poll() is None
        time.sleep(0.002)
    time.sleep(after_seconds)
    process.kill()
    process.communicate()
    assert process.returncode == -9
    assert not (train.out / "report.json").exists()
    step: int = Checkpoint(train.out).load("resume.pt")["progress"]["step"]
    return step


def test_killed_run_resumes_to_the_same_weights(
    train: Train, tmp_path: Path, capsys: Capture
) -> None:
    """The run is killed three times at random: in a step, a line of the log or a save."""
    write_corpus(train.data, train_lines=300)
    more = [part for setting in EVERYTHING for part in ("--set", setting)]
    whole = Train(train.config, train.data, tmp_path / "whole")
    assert whole(*more) == 0
    expected = read_metrics(whole.out / "metrics.jsonl")
    killed_at = 0
    for _ in range(3):
        lines = killed_at + random.randrange(4, 40)
        before, killed_at = killed_at, kill_at(train, lines, random.random() / 50, *more)
        assert before < killed_at < expected[-1]["step"]

    capsys.readouterr()
    assert train(*more) == 0
    assert f"resuming from step {killed_at}" in capsys.readouterr().out
    first, second = (Checkpoint(out).load("model.pt") for out in (whole.out, train.out))
    assert first["step"] == second["step"]
    assert tensors_equal(first["weights"], second["weights"])
    found = read_metrics(train.out / "metrics.jsonl")
    assert [without_seconds(line) for line in found] == [without_seconds(x) for x in expected]


def without_seconds(line: dict[str, Any]) -> dict[str, Any]:
    timings = ("seconds", "timed_steps")
    return {key: value for key, value in line.items() if not key.endswith(timings)}


def test_an_interrupt_says_how_to_go_on(
    train: Train, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingRun, "train", interrupt)
    assert train() == 130
    assert "the same command resumes" in last_line(capsys.readouterr().err)


def test_another_configuration_for_the_same_folder_is_refused(
    train: Train, capsys: Capture
) -> None:
    assert train("--set", "train.epochs=1") == 0
    before = contents(train.out)
    capsys.readouterr()
    line = fails(train, capsys, "--set", "train.epochs=2", "--set", "loss.activation=0.5")
    assert "another configuration (loss.activation, train.epochs)" in line
    assert contents(train.out) == before


@pytest.mark.parametrize("name", ["config.json", "corpus.json", "tokenizer.json", "resume.pt"])
def test_damaged_file_is_named(
    train: Train, capsys: Capture, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(job, "load_model", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train("--set", "train.epochs=1")
    (train.out / name).write_bytes(b"\xff damaged")
    capsys.readouterr()
    assert name in fails(train, capsys, "--set", "train.epochs=1")


@pytest.mark.parametrize("changed", ["train", "valid", "test"])
def test_unfinished_run_refuses_another_text(
    train: Train, capsys: Capture, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(job, "load_model", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train()
    before = contents(train.out)
    path = train.data / f"{changed}.txt"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("the cat", "the fox", 1), encoding="utf-8")
    capsys.readouterr()
    line = fails(train, capsys)
    assert f"{train.out} holds a run on another text" in line
    assert f"--data differs in {changed};" in line
    assert "another --out" in line
    assert contents(train.out) == before

    path.unlink()  # the same text, elsewhere and compressed
    with gzip.open(train.data / f"{changed}.txt.gz", "wt", encoding="utf-8") as file:
        file.write(text)
    moved = Train(train.config, train.data.rename(train.data.with_name("moved")), train.out)
    assert moved() == 0
    assert contents(train.out)["resume.pt"] == before["resume.pt"]


@pytest.mark.parametrize("changed", ["train", "valid", "test"])
def test_finished_run_refuses_another_text(train: Train, capsys: Capture, changed: str) -> None:
    assert train() == 0
    before = contents(train.out)
    path = train.data / f"{changed}.txt"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("the cat", "the fox", 1), encoding="utf-8")
    capsys.readouterr()
    assert f"--data differs in {changed};" in fails(train, capsys)
    assert contents(train.out) == before
    path.write_text(text, encoding="utf-8")
    assert train() == 0


def test_corrected_corpus_is_read_again(train: Train, capsys: Capture) -> None:
    text = (train.data / "valid.txt").read_text(encoding="utf-8")
    (train.data / "valid.txt").write_bytes(b"\x00")
    fails(train, capsys)
    (train.data / "valid.txt").write_text("\n", encoding="utf-8")
    fails(train, capsys)
    (train.data / "valid.txt").write_text(text, encoding="utf-8")
    train_text = "aardvark " + (train.data / "train.txt").read_text(encoding="utf-8")
    (train.data / "train.txt").write_text(train_text, encoding="utf-8")
    assert train("--set", "train.epochs=2") == 0
    vocabulary = load_model(train.out)[2].get_vocab()
    assert "aardvark" in vocabulary
    assert Checkpoint(train.out).validation_ids().tolist() == [
        vocabulary[word] for word in text.replace("\n", " <eos> ").split()
    ]
    recorded = json.loads((train.out / "corpus.json").read_text(encoding="utf-8"))
    assert recorded["train"]["tokens"] == len(train_text.replace("\n", " <eos> ").split())


@pytest.mark.parametrize("room", [100, 1100, 5000])
def test_full_disk_is_one_line_and_resumable(train: Train, capsys: Capture, room: int) -> None:
    with full_disk(room):
        assert "File too large" in fails(train, capsys)
    left = contents(train.out)
    assert all(len(content) <= room for content in left.values())
    assert not partial_files(train.out)
    assert train() == 0
    assert (train.out / "report.json").exists()


def test_a_run_that_diverges_says_so(train: Train, capsys: Capture) -> None:
    line = fails(train, capsys, "--set", "train.learning_rate=1e30")
    assert "model.pt" not in line
    for entry in (train.out / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        json.loads(entry, parse_constant=pytest.fail)
