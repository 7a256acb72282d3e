import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.tiny_training import (
    CONFIG,
    EVERYTHING,
    tensors_equal,
    write_config,
    write_corpus,
)
from train import loop
from train.checkpoint import Checkpoint, load_model
from train.config import Config
from train.config_file import load_config
from train.data.corpus import tokenize
from train.data.source import SPLITS
from train.data.splits import find_splits
from train.data.streams import Batch
from train.data.tokenizer import fit_tokenizer
from train.errors import ConfigError
from train.evaluation import Total
from train.loop import TrainingRun
from train.model.lstm import TiedLSTM
from train.report.metrics import read_metrics


def toy(tmp_path: Path, *overrides: str) -> Config:
    return load_config(write_config(tmp_path / "toy.toml", CONFIG), list(overrides))


def new_run(folder: Path, config: Config, lines: int = 15) -> TrainingRun:
    """Return a run in the folder, resumed if the folder has one."""
    sources, _ = find_splits(write_corpus(folder / "data", lines, 6))
    checkpoint = Checkpoint(folder / "out")
    checkpoint.start(config)
    tokenizer = fit_tokenizer(config.tokenizer, sources["train"].lines())
    train, valid, _ = (
        tokenize(sources[name], tokenizer, folder / "cache", name) for name in SPLITS
    )
    checkpoint.write_inputs(tokenizer, valid.ids)
    return TrainingRun(config, checkpoint, train.ids, valid.ids, tokenizer)


def without_seconds(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    timings = ("seconds", "timed_steps")
    return [{k: v for k, v in line.items() if not k.endswith(timings)} for line in lines]


def outcome(run: TrainingRun) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """Return the best and the last weights, the position and the metrics, without times."""
    progress = {key: value for key, value in asdict(run.position).items() if key != "seconds"}
    metrics = without_seconds(read_metrics(run.checkpoint.folder / "metrics.jsonl"))
    best = run.checkpoint.load("model.pt")["weights"]
    last = {f"last {name}": value for name, value in run.train_step.model.state_dict().items()}
    return {**best, **last}, progress, metrics


def recorded_batches(run: TrainingRun) -> list[Batch]:
    """Return a list that records all batches of the run."""
    batches: list[Batch] = []
    batch = run.streams.batch

    def record(step: int) -> Batch:
        batches.append(batch(step))
        return batches[-1]

    run.streams.batch = record  # type: ignore[method-assign]  # of this object alone
    return batches


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a model of the toy language that is wider than its students."""
    folder = tmp_path_factory.mktemp("teacher")
    new_run(folder, toy(folder, "train.epochs=1", "model.hidden_size=20")).train()
    return folder / "out"


# With these settings the loss varies, so that averaging is triggered.
NT_ASGD = (
    *("train.optimizer=sgd", "train.schedule=constant", "train.learning_rate=20.0"),
    *("train.epochs=4", "train.patience=4", "average.kind=nt-asgd", "average.patience=1"),
    "model.dropout_weight=0.3",
)
REGULARISED: dict[str, tuple[str, ...]] = {
    "plain": (),
    "everything": EVERYTHING,
    "nt-asgd": NT_ASGD,
    "teacher": ("train.state_reset_probability=0.3", "model.dropout_weight=0.3"),
}


def regularised(tmp_path: Path, kind: str, teacher: Path, *more: str) -> Config:
    lesson = (f"loss.teacher.checkpoint={teacher}",) if kind == "teacher" else ()
    return toy(tmp_path, *REGULARISED[kind], *lesson, *more)


def test_training_learns_a_toy_language(tmp_path: Path) -> None:
    """A line has 7 tokens: a noun (2 bits), a verb (1), the same noun (2 unless remembered)."""
    settings = ("train.epochs=6", "train.learning_rate=5e-2", "train.gradient_clip=1.0")
    sizes = ("model.layers=1", "model.embedding_size=16")
    dropout = ("model.dropout_input=0.0", "model.dropout_output=0.0")
    run = new_run(tmp_path, toy(tmp_path, *settings, *sizes, *dropout), lines=60)
    run.train()
    metrics = read_metrics(run.checkpoint.folder / "metrics.jsonl")
    valid = [line["perplexity"] for line in metrics if line["kind"] == "validation"]
    remembered, forgotten = 2 ** (3 / 7), 2 ** (5 / 7)
    assert remembered < valid[-1] < 1.1 * forgotten < 2 * forgotten < valid[0]
    assert run.position.best_perplexity == min(valid)


def test_weights_depend_on_the_seed(tmp_path: Path) -> None:
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        runs.append(new_run(tmp_path / name, toy(tmp_path, f"train.seed={seed}")))
        runs[-1].train()
    (first, _, metrics), (second, _, again), (third, _, _) = map(outcome, runs)
    assert tensors_equal(first, second)
    assert metrics == again
    assert not tensors_equal(first, third)


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        *(("plain", False), ("plain", True), ("everything", False), ("everything", True)),
        *(("nt-asgd", True), ("teacher", True)),
    ],
)
def test_resume_at_any_save_gives_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, teacher: Path, written: bool
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
    config = regularised(tmp_path, kind, teacher)
    whole = new_run(tmp_path / "whole", config)
    whole.train()
    weights, progress, metrics = outcome(whole)
    if kind == "plain":
        assert [line["step"] for line in metrics] == [1, 2, 3, 4, 4, 5, 6, 7, 8, 8]
    if kind == "nt-asgd":
        assert whole.train_step.average.state_dict()["updates"] >= 4
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


def test_all_that_regularises_at_once_still_learns(tmp_path: Path) -> None:
    settings = ("train.epochs=4", "train.learning_rate=5e-2", "train.gradient_clip=1.0")
    run = new_run(tmp_path, toy(tmp_path, *EVERYTHING, *settings), lines=60)
    run.train()
    of_unigrams = 3.5 ** (2 / 7) * 7 ** (2 / 7) * 14 ** (3 / 7)  # 7.7
    assert run.position.best_perplexity < 0.8 * of_unigrams


def test_training_stops_after_patience_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perplexities = iter([9.0, 5.0, 6.0, 5.0, 4.0])
    monkeypatch.setattr(
        loop, "evaluate_in_parallel", lambda *_: Total(nats=math.log(next(perplexities)), tokens=1)
    )
    run = new_run(tmp_path, toy(tmp_path, "train.epochs=9", "train.patience=2"))
    run.train()
    assert (run.position.epoch, run.position.best_epoch) == (4, 2)
    assert run.position.best_perplexity == pytest.approx(5.0)
    assert run.checkpoint.load("model.pt")["step"] == 2 * run.streams.steps


def test_state_is_carried_within_an_epoch(tmp_path: Path) -> None:
    run = new_run(tmp_path, toy(tmp_path))
    given_states: list[Any] = []
    made_states: list[Any] = []
    run.train_step.model.register_forward_pre_hook(lambda _, inputs: given_states.append(inputs[1]))
    run.train_step.model.register_forward_hook(
        lambda _, inputs, output: made_states.append(output[1])
    )
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
    assert {p.dtype for p in run.train_step.model.state_dict().values()} == {torch.float32}
    assert {part.dtype for layer in run.train_step.state for part in layer} == {torch.float32}
    assert math.isfinite(run.position.best_perplexity)


def test_log_has_the_mean_of_the_interval(tmp_path: Path) -> None:
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


def test_learning_rate_is_proportional_to_step_length(tmp_path: Path) -> None:
    settings = ("train.random_bptt=true", "train.schedule=constant", "train.warmup_steps=0")
    run = new_run(tmp_path, toy(tmp_path, *settings, "train.bptt_length=9"), lines=60)
    run.train()
    lines = read_metrics(run.checkpoint.folder / "metrics.jsonl")
    steps = [line for line in lines if line["kind"] == "train"]
    assert len({line["tokens"] for line in steps}) > 3
    for line in steps:
        assert line["learning_rate"] == pytest.approx(2e-2 * line["tokens"] / (4 * 9))


def test_only_reset_streams_start_from_zero(tmp_path: Path) -> None:
    run = new_run(tmp_path, toy(tmp_path, "train.state_reset_probability=0.4"), lines=60)
    given_states: list[Any] = []
    made_states: list[Any] = []
    batches = recorded_batches(run)
    run.train_step.model.register_forward_pre_hook(lambda _, inputs: given_states.append(inputs[1]))
    run.train_step.model.register_forward_hook(
        lambda _, inputs, output: made_states.append(output[1])
    )
    run._train_epoch()
    resets = [batch.reset for batch in batches]
    assert 0 < torch.stack(resets).float().mean() < 1
    for reset, state, before in zip(resets[1:], given_states[1:], made_states, strict=False):
        for new, old in zip(state, before, strict=True):
            for part, carried in zip(new, old, strict=True):
                assert not part[:, reset].any()
                assert part[:, ~reset].equal(carried[:, ~reset])


def test_the_teacher_reads_what_the_pupil_reads(tmp_path: Path, teacher: Path) -> None:
    """The teacher restarts where the student does: computed by hand in the second epoch."""
    run = new_run(tmp_path, regularised(tmp_path, "teacher", teacher))
    batches = recorded_batches(run)
    run.train()
    model, _, _ = load_model(teacher)
    state = model.zero_state(run.config.batch_size)
    assert any(batch.reset.any() for batch in batches[run.streams.steps + 1 :])
    for inputs, _, reset in batches[run.streams.steps :]:
        for part in (part for layer in state for part in layer):
            part[:, reset] = 0
        with torch.no_grad():
            _, state = model(inputs, state)
    known = run.train_step._teacher
    assert known is not None
    for found, wanted in zip(known.state, state, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_a_teacher_of_another_vocabulary_is_refused(tmp_path: Path, teacher: Path) -> None:
    config = regularised(tmp_path, "teacher", teacher, "tokenizer.minimum_count=20")
    with pytest.raises(ConfigError, match="another vocabulary"):
        new_run(tmp_path, config)


Weights = dict[str, np.ndarray[Any, np.dtype[np.float64]]]


def weights_after_every_step(run: TrainingRun) -> list[Weights]:
    """Train, and return the weights after each step of the optimiser."""
    noted: list[Weights] = []

    def note() -> None:
        named = run.train_step.model.named_parameters()
        noted.append({name: p.detach().double().numpy().copy() for name, p in named})

    note()
    run.train_step.optimizer.register_step_post_hook(lambda *_: note())
    run.train()
    return noted


def exponential(noted: list[Weights], decay: float) -> Weights:
    average = noted[0]
    for n, weights in enumerate(noted[1:], 1):
        d = min(decay, (1 + n) / (10 + n))
        average = {name: d * average[name] + (1 - d) * weights[name] for name in weights}
    return average


def mean(noted: list[Weights]) -> Weights:
    return {name: np.mean([weights[name] for weights in noted], 0) for name in noted[0]}


@pytest.mark.parametrize("kind", ["ema", "nt-asgd"])
def test_what_is_validated_and_kept_is_the_average(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Averaging starts after the third epoch, because 6 > 5. The fourth epoch is the best."""
    perplexities = iter([5.0, 4.5, 6.0, 3.0])
    validated: list[dict[str, torch.Tensor]] = []

    def evaluated(model: TiedLSTM, *_: Any) -> Total:
        validated.append({name: value.clone() for name, value in model.state_dict().items()})
        return Total(nats=math.log(next(perplexities)), tokens=1)

    monkeypatch.setattr(loop, "evaluate_in_parallel", evaluated)
    settings = ("train.epochs=4", f"average.kind={kind}", "average.patience=1")
    run = new_run(tmp_path, toy(tmp_path, *settings, "average.decay=0.6"))
    noted = weights_after_every_step(run)
    steps = run.streams.steps
    assert len(noted) == 1 + 4 * steps
    kept = run.checkpoint.load("model.pt")
    assert kept["step"] == 4 * steps
    assert tensors_equal(kept["weights"], validated[3])
    by_hand = {
        "ema": [exponential(noted[: 1 + end * steps], 0.6) for end in (1, 2, 3, 4)],
        "nt-asgd": [*(noted[end * steps] for end in (1, 2, 3)), mean(noted[1 + 3 * steps :])],
    }[kind]
    for found, expected in zip(validated, by_hand, strict=True):
        for name, value in found.items():
            np.testing.assert_allclose(value.numpy(), expected[name], atol=1e-6)
    for name, value in run.train_step.model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), noted[-1][name])
