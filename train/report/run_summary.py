"""A summary of one run from its checkpoint, whether the run is finished, running or stopped."""

import os
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from train.checkpoint import Checkpoint, load_model
from train.config import Config
from train.errors import CheckpointError
from train.model.lstm import TiedLSTM, parameter_count
from train.report.metrics import Line, read_metrics, tokens_per_second
from train.run_report import RunReport

SHARED = ("step", "epoch", "seconds", "perplexity")
REQUIRED_FIGURES = {"train": (*SHARED, "tokens"), "validation": SHARED}


@dataclass(frozen=True)
class RunSummary:
    """The content of a checkpoint that a report page shows.

    `report` has the figures so far if the run is unfinished; its `finished` is then None. `model`
    has the best weights, or is None before the first validation. `digests` are the hashes of the
    splits, without those that are unknown.
    """

    folder: Path
    config: Config
    tokenizer: Tokenizer
    metrics: list[Line]
    report: RunReport
    model: TiedLSTM | None
    digests: dict[str, str]


def read_run_summary(folder: Path) -> RunSummary:
    """Read a checkpoint.

    Raises CheckpointError if the folder is not a checkpoint, is damaged, or has no metrics yet.
    """
    checkpoint = Checkpoint(folder)
    config = checkpoint.config()
    metrics = _read_checked(folder / "metrics.jsonl")
    tokenizer = checkpoint.tokenizer()
    model = load_model(folder)[0] if checkpoint.has("model.pt") else None
    report = checkpoint.report or _report_so_far(config, tokenizer.get_vocab_size(), metrics)
    return RunSummary(folder, config, tokenizer, metrics, report, model, checkpoint.digests())


def labels(runs: list[RunSummary]) -> list[str]:
    """Return the names of the runs. Equal names are followed by the part of the path that
    differs.
    """
    names = [run.config.name for run in runs]
    if len(set(names)) == len(names):
        return names
    paths = [str(run.folder.resolve()) for run in runs]
    shared = os.path.commonpath(paths)
    return [
        name if names.count(name) == 1 else f"{name} ({os.path.relpath(path, shared)})"
        for name, path in zip(names, paths, strict=True)
    ]


def _read_checked(path: Path) -> list[Line]:
    """Return at least one line. Every line has the figures that its kind requires.

    Raises CheckpointError.
    """
    lines = read_metrics(path)
    if not lines:
        raise CheckpointError(
            f"{path.parent} has no metrics yet; wait until its run has logged a line"
        )
    for number, line in enumerate(lines, 1):
        figures = REQUIRED_FIGURES.get(str(line.get("kind"))) if isinstance(line, dict) else None
        if not figures or not all(isinstance(line.get(name), int | float) for name in figures):
            raise CheckpointError(
                f"{path}, line {number}: not a line of a run's metrics; restore the file, or "
                "leave the run out"
            )
    return lines


def _report_so_far(config: Config, vocabulary_size: int, metrics: list[Line]) -> RunReport:
    validations = [line for line in metrics if line["kind"] == "validation"]
    best = min((line["perplexity"] for line in validations), default=None)
    return RunReport(
        name=config.name,
        parameters=parameter_count(TiedLSTM(config.model, vocabulary_size)),
        vocabulary_size=vocabulary_size,
        epochs=len(validations),
        minutes=metrics[-1]["seconds"] / 60,
        tokens_per_second=round(tokens_per_second(metrics)),
        finished=None,
        perplexity={} if best is None else {"valid": best},
    )
