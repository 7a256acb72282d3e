"""The whole training job: from a configuration and text to a finished checkpoint."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from train.checkpoint import Checkpoint, load_model
from train.config import Config
from train.data.corpus import Split, tokenize
from train.data.source import Source
from train.data.splits import find_splits
from train.data.tokenizer import end_id, fit_tokenizer
from train.evaluation import evaluate, evaluate_by_sentence
from train.loop import TrainingRun
from train.model.lstm import parameter_count
from train.report.card import checkpoint_card, epochs_in_words
from train.report.curves import draw_learning_curve
from train.report.metrics import read_metrics, tokens_per_second
from train.report.tensorboard import TensorBoardLog
from train.run_report import RunReport, SplitCounts
from train.runtime.atomic import write_file
from train.runtime.distributed import Processes
from train.runtime.lock import locked_folder
from train.runtime.paths import check_sources
from train.runtime.progress import print_line


def train(
    config: Config,
    data: Path,
    out: Path,
    cache: Path,
    processes: Processes,
    log: TensorBoardLog | None = None,
) -> RunReport:
    """Train a new run, resume an unfinished one, or read the report of a finished one.

    Tokenized text is kept in `cache`. Raises TrainError, OSError; BusyError while another process
    writes to `out`.
    """
    processes.local_batch_size(config.train.batch_size)  # raises before anything is written
    checkpoint = Checkpoint(out)
    processes.rank_zero_first(lambda: checkpoint.check(config))
    if report := checkpoint.report:
        processes.rank_zero_first(lambda: _check_text(config, data, checkpoint))
        if log:
            log.write(read_metrics(out / "metrics.jsonl"))
        return report
    with ExitStack() as stack:
        processes.rank_zero_first(
            lambda: stack.enter_context(locked_folder(out)) if processes.is_main else None
        )
        return _train(config, data, checkpoint, cache, processes, log)


def _train(
    config: Config,
    data: Path,
    checkpoint: Checkpoint,
    cache: Path,
    processes: Processes,
    log: TensorBoardLog | None,
) -> RunReport:
    is_main = processes.is_main
    splits = processes.rank_zero_first(
        lambda: _prepare_splits(config, data, checkpoint, cache, is_main)
    )
    tokenizer = checkpoint.tokenizer()
    run = TrainingRun(
        config, checkpoint, splits["train"].ids, splits["valid"].ids, tokenizer, processes
    )
    if is_main:
        _print_sizes(splits, run)
    if log and run.metrics:
        run.metrics.follow(log.write)
    run.train()
    return processes.rank_zero_first(
        lambda: checkpoint.report or _write_report(checkpoint, splits, run)
    )


def summary(report: RunReport) -> str:
    """Return the figures of a run in three lines, as they are copied to the top of presets."""
    carried, by_sentence = report.perplexity, report.perplexity_by_sentence
    return (
        f"{report.name}: {report.parameters:,} parameters, {epochs_in_words(report)}, "
        f"{report.minutes:.1f} minutes, {report.tokens_per_second:,} tokens/s\n"
        f"perplexity, state carried:    valid {carried['valid']:.2f}, test {carried['test']:.2f}\n"
        f"perplexity, by sentence:      valid {by_sentence['valid']:.2f}, "
        f"test {by_sentence['test']:.2f}"
    )


def _prepare_splits(
    config: Config, data: Path, checkpoint: Checkpoint, cache: Path, is_main: bool
) -> dict[str, Split]:
    """Find and tokenize the splits. For a new run, fit the tokenizer and start the checkpoint."""
    sources, note = find_splits(data, config.data, print_line if is_main else lambda _: None)
    check_sources((file for source in sources.values() for file in source.files), checkpoint.folder)
    if is_main:
        print_line(note)
    is_fitted = checkpoint.has("tokenizer.json")
    if is_fitted:
        checkpoint.check_corpus(_digests(sources))
        tokenizer = checkpoint.tokenizer()
    else:
        tokenizer = fit_tokenizer(config.tokenizer, _texts(sources["train"]))
    splits = {name: tokenize(s, tokenizer, cache, name) for name, s in sources.items()}
    if not is_fitted:
        checkpoint.start(config)  # after reading all text: an error in it leaves no folder
        checkpoint.write_corpus(splits)  # before tokenizer.json, which marks the inputs as whole
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


def _print_sizes(splits: dict[str, Split], run: TrainingRun) -> None:
    for name, split in splits.items():
        print_line(
            f"{name}: {len(split.ids):,} tokens in {split.lines:,} lines, {split.unknown:,} <unk>"
        )
    model = run.train_step.model
    print_line(f"{parameter_count(model):,} parameters, vocabulary {len(model.output_bias):,}")


def _write_report(checkpoint: Checkpoint, splits: dict[str, Split], run: TrainingRun) -> RunReport:
    """Evaluate the best weights; write the learning curve, the card and, last, the report."""
    folder = checkpoint.folder
    model, config, tokenizer = load_model(folder)
    end = end_id(tokenizer)
    metrics = read_metrics(folder / "metrics.jsonl")
    epoch_tokens = run.streams.stream_length * config.train.batch_size
    tokens = sum(line.get("tokens", 0) for line in metrics)
    held_out = {name: splits[name] for name in ("valid", "test")}
    totals = {name: evaluate(model, split.ids, end) for name, split in held_out.items()}
    report = RunReport(
        name=config.name,
        parameters=parameter_count(model),
        vocabulary_size=tokenizer.get_vocab_size(),
        epochs=run.position.epoch,
        steps=run.position.step,
        cut_short=tokens < run.position.epoch * epoch_tokens,
        minutes=round(run.position.seconds / 60, 2),
        tokens_per_second=round(tokens_per_second(metrics)),
        finished=time.strftime("%Y-%m-%d", time.gmtime()),
        splits={name: SplitCounts(**split.counts()) for name, split in splits.items()},
        perplexity={name: total.perplexity for name, total in totals.items()},
        perplexity_by_sentence={
            name: evaluate_by_sentence(model, split.ids, end).perplexity
            for name, split in held_out.items()
        },
        bits_per_byte={
            name: total.bits_per_byte(held_out[name].bytes + held_out[name].lines)
            for name, total in totals.items()
        },
    )
    draw_learning_curve(metrics, config.name, folder / "learning_curve.png")
    write_file(folder / "README.md", checkpoint_card(config, report).encode())
    write_file(folder / "report.json", report.to_json())
    return report
