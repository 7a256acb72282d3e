"""Tests of runs that end after a number of steps, and of checkpoints of earlier versions."""

import json
from typing import Any

import pytest

from tests.support.tiny_training import ROOT, tensors_equal
from tests.support.train_command import Capture, Train
from train import job
from train.checkpoint import Checkpoint
from train.config_file import load_config
from train.data.splits import find_splits
from train.loop import TrainingRun
from train.report.metrics import read_metrics


def report(train: Train) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((train.out / "report.json").read_text(encoding="utf-8"))
    return found


def kinds(train: Train) -> list[tuple[str, int, int]]:
    lines = read_metrics(train.out / "metrics.jsonl")
    return [(line["kind"], line["epoch"], line["step"]) for line in lines]


def test_training_ends_at_the_step_in_an_epoch(train: Train, capsys: Capture) -> None:
    """A text of 420 tokens in 4 streams of 104: 15 steps of 7 tokens per epoch."""
    assert train("--set", "train.max_steps=20", "--set", "train.log_every_steps=5") == 0
    assert kinds(train) == [
        *[("train", 1, step) for step in (5, 10, 15)],
        ("validation", 1, 15),
        ("train", 2, 20),
        ("validation", 2, 20),
    ]
    assert (report(train)["steps"], report(train)["cut_short"]) == (20, True)
    assert "2 epochs (the last one ended at step 20)" in capsys.readouterr().out
    assert "2 epochs (the last one ended at step 20)" in (train.out / "README.md").read_text()
    # The learning rate falls to 1 % within the 20 steps.
    last = read_metrics(train.out / "metrics.jsonl")[-2]["learning_rate"]
    assert last == pytest.approx(2e-2 * 0.01, rel=0.7)


def test_a_bound_beyond_the_epochs_changes_nothing(train: Train, capsys: Capture) -> None:
    assert train() == 0
    expected = Checkpoint(train.out).load("model.pt")
    train.out = train.out.with_name("bounded")
    assert train("--set", "train.max_steps=1000") == 0
    found = Checkpoint(train.out).load("model.pt")
    assert tensors_equal(found["weights"], expected["weights"])
    assert report(train)["cut_short"] is False
    assert "ended at step" not in capsys.readouterr().out


def test_bounded_run_resumes_to_the_same_weights(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = ("--set", "train.max_steps=20")
    assert train(*bound) == 0
    expected = Checkpoint(train.out).load("model.pt")
    train.out = train.out.with_name("stopped")
    with monkeypatch.context() as patch:
        steps: list[int] = []
        step = TrainingRun._step

        def stop_at_17(run: TrainingRun) -> int:
            if len(steps) == 17:
                raise KeyboardInterrupt
            steps.append(1)
            return step(run)

        patch.setattr(TrainingRun, "_step", stop_at_17)
        assert train(*bound) == 130
    assert train(*bound) == 0
    found = Checkpoint(train.out).load("model.pt")
    assert found["step"] == expected["step"]
    assert tensors_equal(found["weights"], expected["weights"])


def test_the_tiny_preset_is_bounded_on_any_text() -> None:
    training = load_config(ROOT / "train" / "configs" / "tiny.toml", []).train
    assert training.max_steps is not None
    assert training.max_steps * training.batch_size * training.bptt_length <= 50_000


def make_old(train: Train) -> None:
    """Write the configuration of an earlier version, which lacks the new keys."""
    path = train.out / "config.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["data"], document["train"]["max_steps"], document["train"]["threads"]
    path.write_text(json.dumps(document), encoding="utf-8")


def test_an_old_checkpoint_goes_on(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train() == 0
    expected = Checkpoint(train.out).load("model.pt")
    train.out = train.out.with_name("old")
    with monkeypatch.context() as patch:
        patch.setattr(job, "load_model", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train()
    make_old(train)
    assert train() == 0
    assert tensors_equal(Checkpoint(train.out).load("model.pt")["weights"], expected["weights"])


def test_a_run_goes_on_with_other_threads(train: Train, capsys: Capture) -> None:
    assert train() == 0
    assert train("--set", "train.threads=1") == 0
    assert train("--set", "data.split=random") == 1
    assert "another configuration (data.split)" in capsys.readouterr().err


def test_a_random_split_is_trained_on(train: Train) -> None:
    train.data = train.data / "train.txt"
    more = ("--set", "data.split=random", "--set", "train.epochs=1")
    assert train(*more) == 0
    config = Checkpoint(train.out).config()
    sources, _ = find_splits(train.data, config.data)
    digests = {split: source.content.digest for split, source in sources.items()}
    assert Checkpoint(train.out).digests() == digests
    assert {split: s["lines"] for split, s in report(train)["splits"].items()} == {
        "train": 54,
        "valid": 3,
        "test": 3,
    }
    assert train(*more) == 0
