"""The whole job: a configuration and a folder of text to a finished checkpoint."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from train.checkpoint import Checkpoint, load_model
from train.config import Config
from train.data.corpus import Split, tokenize
from train.data.source import Source
from train.data.splits import find_splits
from train.data.tokenizer import end_id, fit_tokenizer
from train.evaluation import evaluate, evaluate_by_sentence
from train.loop import Run
from train.model.lstm import parameter_count
from train.report.card import checkpoint_card, cut_short
from train.report.curves import draw_learning_curve
from train.report.metrics import read_metrics, tokens_per_second
from train.report.tensorboard import TensorBoardLog
from train.runtime.atomic import write_file
from train.runtime.distributed import Processes, is_first
from train.runtime.lock import locked_folder
from train.runtime.paths import check_sources
from train.runtime.progress import say


def train(
    config: Config,
    data: Path,
    out: Path,
    cache: Path,
    group: Processes,
    log: TensorBoardLog | None = None,
) -> dict[str, Any]:
    """Train, or go on, or only read the report of a finished run. Tokenized text is kept in
    `cache`. Raises TrainError, OSError; BusyError while another process writes to `out`.
    """
    group.share(config.train.batch_size)  # before anything is written
    checkpoint = Checkpoint(out)
    group.in_turn(lambda: checkpoint.check(config))
    if checkpoint.report:
        group.in_turn(lambda: _check_text(config, data, checkpoint))
        if log:
            log.write(read_metrics(out / "metrics.jsonl"))
        return checkpoint.report
    with ExitStack() as stack:
        group.in_turn(lambda: stack.enter_context(locked_folder(out)) if group.first else None)
        return _train(config, data, checkpoint, cache, group, log)


def _train(
    config: Config,
    data: Path,
    checkpoint: Checkpoint,
    cache: Path,
    group: Processes,
    log: TensorBoardLog | None,
) -> dict[str, Any]:
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
        f"{report['name']}: {report['parameters']:,} parameters, {report['epochs']} epochs"
        f"{cut_short(report)}, "
        f"{report['minutes']:.1f} minutes, {report['tokens_per_second']:,} tokens/s\n"
        f"perplexity, state carried:    valid {carried['valid']:.2f}, test {carried['test']:.2f}\n"
        f"perplexity, by sentence:      valid {single['valid']:.2f}, test {single['test']:.2f}"
    )


def _corpus(config: Config, data: Path, checkpoint: Checkpoint, cache: Path) -> dict[str, Split]:
    first = is_first()
    sources, note = find_splits(data, config.data, say if first else lambda _: None)
    check_sources((file for source in sources.values() for file in source.files), checkpoint.folder)
    if first:
        say(note)
    fitted = checkpoint.has("tokenizer.json")
    if fitted:
        checkpoint.check_corpus(_digests(sources))
        tokenizer = checkpoint.tokenizer()
    else:
        tokenizer = fit_tokenizer(config.tokenizer, _texts(sources["train"]))
    splits = {name: tokenize(s, tokenizer, cache, name) for name, s in sources.items()}
    if not fitted:
        checkpoint.start(config)  # not before the text was read: a mistake in it leaves nothing
        checkpoint.write_corpus(splits)  # first: tokenizer.json says that all of it is there
        checkpoint.write_inputs(tokenizer, splits["valid"].ids)
    return splits


def _check_text(config: Config, data: Path, checkpoint: Checkpoint) -> None:
    sources, _ = find_splits(data, config.data)
    checkpoint.check_corpus(_digests(sources))


def _digests(sources: dict[str, Source]) -> dict[str, str]:
    return {name: source.content.digest for name, source in sources.items()}


def _texts(source: Source) -> Iterator[str]:
    for block in source.blocks("fitting the tokenizer"):
        yield from block.texts


def _describe(splits: dict[str, Split], run: Run) -> None:
    for name, split in splits.items():
        say(f"{name}: {len(split.ids):,} tokens in {split.lines:,} lines, {split.unknown:,} <unk>")
    parameters, vocabulary = parameter_count(run.learner.model), len(run.learner.model.output_bias)
    say(f"{parameters:,} parameters, vocabulary {vocabulary:,}")


def _write_report(checkpoint: Checkpoint, splits: dict[str, Split], run: Run) -> dict[str, Any]:
    out = checkpoint.folder
    model, config, tokenizer = load_model(out)
    end = end_id(tokenizer)
    metrics = read_metrics(out / "metrics.jsonl")
    epoch_tokens = run.streams.stream_length * config.train.batch_size
    read = sum(line.get("tokens", 0) for line in metrics)
    report: dict[str, Any] = {
        "name": config.name,
        "parameters": parameter_count(model),
        "vocabulary_size": tokenizer.get_vocab_size(),
        "epochs": run.progress.epoch,
        "steps": run.progress.step,
        "cut_short": read < run.progress.epoch * epoch_tokens,
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
