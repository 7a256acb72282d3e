"""The whole job: a configuration and a folder of text to a finished checkpoint."""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from train.atomic import write_file
from train.card import checkpoint_card
from train.checkpoint import Checkpoint, load_model
from train.config import Config
from train.corpus import Split, tokenize
from train.curves import draw_learning_curve
from train.evaluation import evaluate, evaluate_by_sentence
from train.loop import Run
from train.metrics import read_metrics, tokens_per_second
from train.model import parameter_count
from train.processes import Processes, is_first
from train.source import Source, find_splits
from train.tensorboard import TensorBoardLog
from train.tokenizer import end_id, fit_tokenizer


def train(
    config: Config,
    data: Path,
    out: Path,
    cache: Path,
    group: Processes,
    log: TensorBoardLog | None = None,
) -> dict[str, Any]:
    """Train, or go on, or only read the report of a finished run. Tokenized text is kept in
    `cache`. Raises TrainError, OSError.
    """
    group.share(config.train.batch_size)  # before anything is written
    checkpoint = Checkpoint(out)
    group.in_turn(lambda: checkpoint.check(config))
    if checkpoint.report:
        group.in_turn(lambda: _check_text(data, checkpoint))
        if log:
            log.write(read_metrics(out / "metrics.jsonl"))
        return checkpoint.report
    splits = group.in_turn(lambda: _corpus(config, data, checkpoint, cache))
    tokenizer = checkpoint.tokenizer()
    run = Run(config, checkpoint, splits["train"].ids, splits["valid"].ids, tokenizer, group)
    if group.first:
        _describe(splits, run)
    if log and run.metrics:
        run.metrics.follow(log.write)
    run.train()
    return group.in_turn(lambda: checkpoint.report or _write_report(checkpoint, splits, run))


def summary(report: dict[str, Any]) -> str:
    """The run in one table row, as it stands on top of the presets."""
    carried, single = report["perplexity"], report["perplexity_by_sentence"]
    return (
        f"{report['name']}: {report['parameters']:,} parameters, {report['epochs']} epochs, "
        f"{report['minutes']:.1f} minutes, {report['tokens_per_second']:,} tokens/s\n"
        f"perplexity, state carried:    valid {carried['valid']:.2f}, test {carried['test']:.2f}\n"
        f"perplexity, by sentence:      valid {single['valid']:.2f}, test {single['test']:.2f}"
    )


def _corpus(config: Config, data: Path, checkpoint: Checkpoint, cache: Path) -> dict[str, Split]:
    sources, note = find_splits(data)
    if is_first():
        tqdm.write(note)
    fitted = checkpoint.has("tokenizer.json")
    if fitted:
        _check_text(data, checkpoint)
        tokenizer = checkpoint.tokenizer()
    else:
        tokenizer = fit_tokenizer(config.tokenizer, _texts(sources["train"]))
    splits = {name: tokenize(s, tokenizer, cache, name) for name, s in sources.items()}
    if not fitted:
        checkpoint.start(config)  # not before the text was read: a mistake in it leaves nothing
        checkpoint.write_corpus(splits)  # first: tokenizer.json says that all of it is there
        checkpoint.write_inputs(tokenizer, splits["valid"].ids)
    return splits


def _check_text(data: Path, checkpoint: Checkpoint) -> None:
    sources, _ = find_splits(data)
    checkpoint.check_corpus({name: source.content.digest for name, source in sources.items()})


def _texts(source: Source) -> Iterator[str]:
    for block in source.blocks("fitting the tokenizer"):
        yield from block.texts


def _describe(splits: dict[str, Split], run: Run) -> None:
    for name, split in splits.items():
        tqdm.write(
            f"{name}: {len(split.ids):,} tokens in {split.lines:,} lines, {split.unknown:,} <unk>"
        )
    parameters, vocabulary = parameter_count(run.learner.model), len(run.learner.model.output_bias)
    tqdm.write(f"{parameters:,} parameters, vocabulary {vocabulary:,}")


def _write_report(checkpoint: Checkpoint, splits: dict[str, Split], run: Run) -> dict[str, Any]:
    out = checkpoint.folder
    model, config, tokenizer = load_model(out)
    end = end_id(tokenizer)
    metrics = read_metrics(out / "metrics.jsonl")
    report: dict[str, Any] = {
        "name": config.name,
        "parameters": parameter_count(model),
        "vocabulary_size": tokenizer.get_vocab_size(),
        "epochs": run.progress.epoch,
        "minutes": round(run.progress.seconds / 60, 2),
        "tokens_per_second": round(tokens_per_second(metrics)),
        "finished": time.strftime("%Y-%m-%d", time.gmtime()),
        "splits": {name: split.counts() for name, split in splits.items()},
        "perplexity": {},
        "perplexity_by_sentence": {},
        "bits_per_byte": {},
    }
    for name in ("valid", "test"):
        split = splits[name]
        total = evaluate(model, split.ids, end)
        report["perplexity"][name] = total.perplexity
        report["bits_per_byte"][name] = total.nats / math.log(2) / (split.bytes + split.lines)
        report["perplexity_by_sentence"][name] = evaluate_by_sentence(
            model, split.ids, end
        ).perplexity
    draw_learning_curve(metrics, config.name, out / "learning_curve.png")
    write_file(out / "README.md", checkpoint_card(config, report).encode())
    write_file(out / "report.json", (json.dumps(report, indent=2) + "\n").encode())
    return report
