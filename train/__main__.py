"""`python -m train CONFIG --data DIR --out CHECKPOINT`: text in, a checkpoint directory out.

Several GPUs, or several processors' cores, train one model when `torchrun` starts a process for
each: `torchrun --nproc-per-node 2 -m train CONFIG --data DIR --out CHECKPOINT`.
"""

import argparse
import json
import math
import shutil
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from tqdm import tqdm

from train.atomic import write_file
from train.checkpoint import Checkpoint, load_model
from train.config import Config, load_config
from train.corpus import SPLITS, Split, find_splits, tokenize
from train.errors import TrainError
from train.evaluation import evaluate, evaluate_by_sentence
from train.hardware import uses_gpu
from train.loop import Run
from train.metrics import draw_learning_curve, read_metrics
from train.model import parameter_count
from train.processes import Processes, is_first, processes
from train.tokenizer import end_id, fit_tokenizer


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        config = load_config(options.config, options.set)
        with processes(uses_gpu(config.train)) as group:
            report = train(config, options.data, options.out, group)
    except TrainError as error:  # of all processes alike
        if is_first():
            print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.strerror}: {error.filename or options.out}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        if is_first():
            print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    if is_first():
        print(summary(report))
    return 0


def train(config: Config, data: Path, out: Path, group: Processes) -> dict[str, Any]:
    """Train, or go on, or only read the report of a finished run. Raises TrainError, OSError."""
    group.share(config.train.batch_size)  # before anything is written
    checkpoint = Checkpoint(out)
    group.in_turn(lambda: checkpoint.start(config))
    if checkpoint.report:
        return checkpoint.report
    splits = group.in_turn(lambda: _corpus(config, data, checkpoint))
    tokenizer = checkpoint.tokenizer()
    run = Run(config, checkpoint, splits["train"].ids, splits["valid"].ids, tokenizer, group)
    if group.first:
        _describe(splits, run)
    run.train()
    return group.in_turn(lambda: checkpoint.report or _write_report(checkpoint, splits, run))


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
    report: dict[str, Any] = {
        "name": config.name,
        "parameters": parameter_count(model),
        "vocabulary_size": tokenizer.get_vocab_size(),
        "epochs": run.progress.epoch,
        "minutes": round(run.progress.seconds / 60, 2),
        "tokens_per_second": round(_tokens_per_second(checkpoint)),
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
    metrics = read_metrics(out / "metrics.jsonl")
    draw_learning_curve(metrics, config.name, out / "learning_curve.png")
    write_file(out / "report.json", (json.dumps(report, indent=2) + "\n").encode())
    return report


def summary(report: dict[str, Any]) -> str:
    """The run in one table row, as it stands on top of the presets."""
    carried, single = report["perplexity"], report["perplexity_by_sentence"]
    return (
        f"{report['name']}: {report['parameters']:,} parameters, {report['epochs']} epochs, "
        f"{report['minutes']:.1f} minutes, {report['tokens_per_second']:,} tokens/s\n"
        f"perplexity, state carried:    valid {carried['valid']:.2f}, test {carried['test']:.2f}\n"
        f"perplexity, by sentence:      valid {single['valid']:.2f}, test {single['test']:.2f}"
    )


def _corpus(config: Config, data: Path, checkpoint: Checkpoint) -> dict[str, Split]:
    sources, note = find_splits(data)
    if is_first():
        tqdm.write(note)
    folder = checkpoint.folder / "corpus"
    fitted = checkpoint.has("tokenizer.json")
    if not fitted:  # ids of a vocabulary that was never kept
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    tokenizer = (
        checkpoint.tokenizer()
        if fitted
        else fit_tokenizer(config.tokenizer, sources["train"].lines())
    )
    splits = {
        name: tokenize(sources[name], tokenizer, folder / f"{name}.ids", name) for name in SPLITS
    }
    if not fitted:
        checkpoint.write_inputs(tokenizer, splits["valid"].ids)
    return splits


def _tokens_per_second(checkpoint: Checkpoint) -> float:
    """Of training alone, by the median log interval: evaluations and pauses do not count."""
    lines = [x for x in read_metrics(checkpoint.folder / "metrics.jsonl") if x["kind"] == "train"]
    rates = sorted(
        b["tokens"] / (b["seconds"] - a["seconds"])
        for a, b in pairwise(lines)
        if b["epoch"] == a["epoch"] and b["seconds"] > a["seconds"]
    )
    return rates[len(rates) // 2] if rates else 0.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    parser.add_argument(
        "config", type=Path, help="a TOML file, such as train/configs/ptb-small.toml"
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with train, valid, test, or text"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="checkpoint directory; an unfinished run goes on"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a key"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
