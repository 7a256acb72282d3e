import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.tiny import CONFIG, tensors_equal, write_config, write_corpus
from train import loop
from train.checkpoint import Checkpoint
from train.config import Config, load_config
from train.corpus import tokenize
from train.evaluation import Total
from train.loop import Run
from train.metrics import read_metrics
from train.source import SPLITS, find_splits
from train.tokenizer import fit_tokenizer


def toy(tmp_path: Path, *overrides: str) -> Config:
    return load_config(write_config(tmp_path / "toy.toml", CONFIG), list(overrides))


def new_run(folder: Path, config: Config, lines: int = 15) -> Run:
    """A run on the folder; it goes on where one stood there."""
    sources, _ = find_splits(write_corpus(folder / "data", lines, 6))
    checkpoint = Checkpoint(folder / "out")
    checkpoint.start(config)
    tokenizer = fit_tokenizer(config.tokenizer, sources["train"].lines())
    train, valid, _ = (
        tokenize(sources[name], tokenizer, folder / "cache", name) for name in SPLITS
    )
    return Run(config, checkpoint, train.ids, valid.ids, tokenizer)


def without_seconds(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if not k.endswith("seconds")} for line in lines]


def outcome(run: Run) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """Best weights, progress and metrics: all that a run leaves, but for the time it took."""
    progress = {key: value for key, value in asdict(run.progress).items() if key != "seconds"}
    metrics = without_seconds(read_metrics(run.checkpoint.folder / "metrics.jsonl"))
    return run.checkpoint.load("model.pt")["weights"], progress, metrics


def test_training_learns_a_toy_language(tmp_path: Path) -> None:
    """A line is 7 tokens: a noun (2 bits), a verb (1), that noun again (2 unless remembered)."""
    settings = ("train.epochs=6", "train.learning_rate=5e-2", "train.gradient_clip=1.0")
    sizes = ("model.layers=1", "model.embedding_size=16")
    dropout = ("model.dropout_input=0.0", "model.dropout_output=0.0")
    run = new_run(tmp_path, toy(tmp_path, *settings, *sizes, *dropout), lines=60)
    run.train()
    metrics = read_metrics(run.checkpoint.folder / "metrics.jsonl")
    valid = [line["perplexity"] for line in metrics if line["kind"] == "validation"]
    remembered, forgotten = 2 ** (3 / 7), 2 ** (5 / 7)
    assert remembered < valid[-1] < 1.1 * forgotten < 2 * forgotten < valid[0]
    assert run.progress.best_perplexity == min(valid)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path: Path) -> None:
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        runs.append(new_run(tmp_path / name, toy(tmp_path, f"train.seed={seed}")))
        runs[-1].train()
    (first, _, metrics), (second, _, again), (third, _, _) = map(outcome, runs)
    assert tensors_equal(first, second)
    assert metrics == again
    assert not tensors_equal(first, third)


@pytest.mark.parametrize("written", [False, True], ids=["before the write", "after the write"])
def test_a_run_stopped_at_any_save_goes_on_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    save = Checkpoint.save
    calls = 0

    def count(self: Checkpoint, name: str, content: dict[str, Any]) -> None:
        nonlocal calls
        calls += 1
        if calls == stop_at and not written:
            raise KeyboardInterrupt
        save(self, name, content)
        if calls == stop_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save", count)
    stop_at = -1
    config = toy(tmp_path)
    whole = new_run(tmp_path / "whole", config)
    whole.train()
    weights, progress, metrics = outcome(whole)
    assert [line["step"] for line in metrics] == [1, 2, 3, 4, 4, 5, 6, 7, 8, 8]
    for stop_at in range(1, calls + 1):
        folder, calls = tmp_path / f"stopped-{stop_at}", 0
        with pytest.raises(KeyboardInterrupt):
            new_run(folder, config).train()
        resumed = new_run(folder, config)
        resumed.train()
        found, at, lines = outcome(resumed)
        assert tensors_equal(found, weights)
        assert at == progress
        assert lines == metrics


def test_training_stops_when_validation_has_not_improved_for_patience_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perplexities = iter([9.0, 5.0, 6.0, 5.0, 4.0])
    monkeypatch.setattr(
        loop, "evaluate", lambda *_: Total(nats=math.log(next(perplexities)), tokens=1)
    )
    run = new_run(tmp_path, toy(tmp_path, "train.epochs=9", "train.patience=2"))
    run.train()
    assert (run.progress.epoch, run.progress.best_epoch) == (4, 2)
    assert run.progress.best_perplexity == pytest.approx(5.0)
    assert run.checkpoint.load("model.pt")["step"] == 2 * run.streams.steps


def test_the_state_is_carried_within_an_epoch_and_zero_at_its_start(tmp_path: Path) -> None:
    run = new_run(tmp_path, toy(tmp_path))
    given_states: list[Any] = []
    made_states: list[Any] = []
    run.learner.model.register_forward_pre_hook(lambda _, inputs: given_states.append(inputs[1]))
    run.learner.model.register_forward_hook(lambda _, inputs, output: made_states.append(output[1]))
    run._train_epoch()
    run._train_epoch()
    steps = run.streams.steps
    assert len(given_states) == 2 * steps
    for step, (state, before) in enumerate(zip(given_states, [None, *made_states], strict=False)):
        for layer, (h, c) in enumerate(state):
            start = step % steps == 0
            assert h.equal(torch.zeros_like(h) if start else before[layer][0])
            assert c.equal(torch.zeros_like(c) if start else before[layer][1])
            assert not h.requires_grad


def test_bfloat16_keeps_weights_and_state_in_float32(tmp_path: Path) -> None:
    run = new_run(tmp_path, toy(tmp_path, "train.precision=bfloat16", "train.epochs=1"))
    run.train()
    assert {p.dtype for p in run.learner.model.state_dict().values()} == {torch.float32}
    assert {part.dtype for layer in run.learner.state for part in layer} == {torch.float32}
    assert math.isfinite(run.progress.best_perplexity)


def test_what_is_logged_is_the_mean_over_the_interval(tmp_path: Path) -> None:
    logged = []
    for every in (1, 3):
        run = new_run(tmp_path / str(every), toy(tmp_path, f"train.log_every_steps={every}"))
        run.train()
        lines = read_metrics(run.checkpoint.folder / "metrics.jsonl")
        logged.append([line for line in lines if line["kind"] == "train"])
    single, joined = logged
    assert [line["step"] for line in joined] == [3, 4, 6, 8]  # and at the end of an epoch
    begin = 0
    for line in joined:
        parts, begin = single[begin : line["step"]], line["step"]
        assert line["tokens"] == sum(part["tokens"] for part in parts)
        nats = math.fsum(part["cross_entropy"] * part["tokens"] for part in parts)
        assert line["cross_entropy"] == pytest.approx(nats / line["tokens"])
        assert line["perplexity"] == pytest.approx(math.exp(line["cross_entropy"]))
