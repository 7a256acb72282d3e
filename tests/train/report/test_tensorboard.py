"""Tests of the TensorBoard log, read with TensorBoard's own reader."""

import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.support.train_command import Capture, Train, fails
from train.report.metrics import Line, MetricsLog, read_metrics
from train.report.tensorboard import TensorBoardLog
from train.runtime.stopwatch import STEP_PARTS

Scalars = dict[str, list[tuple[int, Any]]]  # values have the precision of float32


def read_back(folder: Path) -> Scalars:
    """Return steps and values by tag."""
    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, pytest.approx(event.value)) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def line(step: int, kind: str = "train", epoch: int = 1, **figures: Any) -> Line:
    shared = {"kind": kind, "step": step, "epoch": epoch, "seconds": 2.0 * step, "tokens": 40}
    return {**shared, "perplexity": 100.0 / step, **figures}


def test_a_run_logs_the_figures_of_its_metrics(train: Train) -> None:
    board = train.data.parent / "board"
    assert train("--tensorboard", str(board)) == 0
    scalars = read_back(board / "out")
    metrics = read_metrics(train.out / "metrics.jsonl")
    for kind, key in (
        ("train", "cross_entropy"),
        ("train", "perplexity"),
        ("train", "learning_rate"),
        ("validation", "perplexity"),
    ):
        expected = [(m["step"], m[key]) for m in metrics if m["kind"] == kind]
        assert scalars[f"{kind}/{key}"] == expected
    assert len(scalars["validation/perplexity"]) == 2

    # A finished run is logged again, and shown once.
    assert train("--tensorboard", str(board)) == 0
    again = read_back(board / "out")
    assert {tag: len(events) for tag, events in again.items()} == {
        tag: len(events) for tag, events in scalars.items()
    }
    assert len(list((board / "out").iterdir())) == 2


def test_speeds_are_those_of_the_interval(tmp_path: Path) -> None:
    parts: dict[str, Any] = {f"{part}_seconds": 0.2 * n for n, part in enumerate(STEP_PARTS, 1)}
    with TensorBoardLog(tmp_path) as log:
        log.write([])
        log.write([line(5, **parts)])
        log.write([line(7, **parts), line(7, "validation")])
        log.write([line(9, epoch=2)])
    scalars = read_back(tmp_path)
    assert scalars["train/tokens_per_second"] == [(7, 10.0)]
    for n, part in enumerate(STEP_PARTS, 1):
        assert scalars[f"step/{part}_milliseconds"] == [(5, 200 * n / 5), (7, 200 * n / 2)]


def test_resumed_run_is_one_line(tmp_path: Path) -> None:
    path, board = tmp_path / "metrics.jsonl", tmp_path / "board"
    metrics = MetricsLog(path, 0)
    for step in (1, 2):  # without TensorBoard at first
        metrics.write(**line(step))
    for resumed_at, last in ((2, 6), (4, 5), (3, 8)):
        metrics = MetricsLog(path, resumed_at)
        with TensorBoardLog(board) as log:
            metrics.follow(log.write)
            for step in range(resumed_at + 1, last + 1):
                metrics.write(**line(step, perplexity=step * 10.0 + resumed_at))
    expected = [(line["step"], line["perplexity"]) for line in read_metrics(path)]
    assert [step for step, _ in expected] == list(range(1, 9))
    assert read_back(board)["train/perplexity"] == expected


def test_wall_times_follow_the_training_time(tmp_path: Path) -> None:
    with TensorBoardLog(tmp_path) as log:
        log.write([line(1), line(50)])
        log.write([line(60)])
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("train/perplexity")
    first, second, third = (event.wall_time for event in events)
    assert (second - first, third - second) == (pytest.approx(98), pytest.approx(20))


def test_a_log_with_nothing_to_say_hides_nothing(tmp_path: Path) -> None:
    with TensorBoardLog(tmp_path) as log:
        log.write([line(1)])
    with TensorBoardLog(tmp_path):
        pass
    assert read_back(tmp_path)["train/perplexity"] == [(1, 100.0)]


def test_missing_package_is_one_line(
    train: Train, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    message = fails(train, capsys, "--tensorboard", str(train.data.parent / "board"))
    assert "pip install tensorboard" in message
    assert not train.out.exists()


def test_a_file_in_the_way_is_one_line(train: Train, capsys: Capture) -> None:
    assert "board" not in fails(train, capsys, "--tensorboard", str(train.config))
    assert not train.out.exists()
