"""A run as its checkpoint tells it, whether it is finished, under way or was stopped."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from train.checkpoint import Checkpoint, load_model
from train.config import Config
from train.errors import CheckpointError
from train.model.lstm import TiedLSTM, parameter_count
from train.report.metrics import Line, read_metrics, tokens_per_second

SHARED = ("step", "epoch", "seconds", "perplexity")
REPORTED = {"parameters", "vocabulary_size", "epochs", "minutes", "tokens_per_second", "finished"}
FIGURES = {"train": (*SHARED, "tokens"), "validation": SHARED}


@dataclass(frozen=True)
class RunSummary:
    """`report` has the keys of `report.json`; of an unfinished run it holds what is known so far,
    and `finished` is None. `model` has the best weights, or is None before the first validation.
    `digests` are the hashes of the splits, as far as they are known.
    """

    folder: Path
    config: Config
    tokenizer: Tokenizer
    metrics: list[Line]
    report: dict[str, Any]
    model: TiedLSTM | None
    digests: dict[str, str]


def read_run_summary(folder: Path) -> RunSummary:
    """Raises CheckpointError for a folder that is no checkpoint, is damaged, or has no metrics."""
    checkpoint = Checkpoint(folder)
    config = checkpoint.config()
    metrics = _metrics(folder / "metrics.jsonl")
    tokenizer = checkpoint.tokenizer()
    model = load_model(folder)[0] if checkpoint.has("model.pt") else None
    report = checkpoint.report or _known_so_far(config, tokenizer.get_vocab_size(), metrics)
    if not isinstance(report, dict) or not REPORTED.issubset(report):
        raise CheckpointError(f"{folder / 'report.json'} is no report of a run")
    return RunSummary(folder, config, tokenizer, metrics, report, model, checkpoint.digests())


def labels(records: list[RunSummary]) -> list[str]:
    """The runs' names; where two are the same, with as much of the path as tells them apart."""
    names = [record.config.name for record in records]
    if len(set(names)) == len(names):
        return names
    paths = [str(record.folder.resolve()) for record in records]
    shared = os.path.commonpath(paths)
    return [
        name if names.count(name) == 1 else f"{name} ({os.path.relpath(path, shared)})"
        for name, path in zip(names, paths, strict=True)
    ]


def _metrics(path: Path) -> list[Line]:
    """At least one line, and every one has the figures that all lines of its kind have."""
    lines = read_metrics(path)
    if not lines:
        raise CheckpointError(f"{path.parent} has no metrics yet: its run has measured nothing")
    for number, line in enumerate(lines, 1):
        figures = FIGURES.get(str(line.get("kind"))) if isinstance(line, dict) else None
        if not figures or not all(isinstance(line.get(name), int | float) for name in figures):
            raise CheckpointError(f"{path}, line {number}: no figures of a run")
    return lines


def _known_so_far(config: Config, vocabulary_size: int, metrics: list[Line]) -> dict[str, Any]:
    validations = [line for line in metrics if line["kind"] == "validation"]
    best = min((line["perplexity"] for line in validations), default=None)
    return {
        "name": config.name,
        "parameters": parameter_count(TiedLSTM(config.model, vocabulary_size)),
        "vocabulary_size": vocabulary_size,
        "epochs": len(validations),
        "minutes": metrics[-1]["seconds"] / 60,
        "tokens_per_second": round(tokens_per_second(metrics)),
        "finished": None,
        "perplexity": {} if best is None else {"valid": best},
    }
