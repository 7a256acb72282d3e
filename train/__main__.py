"""`python -m train CONFIG --data DIR --out CHECKPOINT`: text in, a checkpoint directory out.

`python -m train report CHECKPOINT… --out PAGE.md` compares runs; `report --help` tells how.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tqdm import tqdm

from train.arguments import report_parser, train_parser
from train.atomic import write_file
from train.card import checkpoint_card
from train.checkpoint import Checkpoint, load_model
from train.config import Config, load_config
from train.corpus import Split, default_cache, tokenize
from train.curves import draw_learning_curve
from train.errors import TrainError
from train.evaluation import evaluate, evaluate_by_sentence
from train.loop import Run
from train.metrics import read_metrics, tokens_per_second
from train.model import parameter_count
from train.report import Sampling, write_report
from train.source import Source, find_splits
from train.tensorboard import TensorBoardLog
from train.tokenizer import end_id, fit_tokenizer


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["report"]:  # a configuration of that name is ./report
        command, options = _report, report_parser().parse_args(arguments[1:])
    else:
        command, options = _train, train_parser().parse_args(arguments)
    try:
        said = command(options)
    except TrainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.strerror}: {error.filename or options.out}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        goes_on = "; the same command goes on from the last checkpoint"
        print(f"stopped{goes_on if command is _train else ''}", file=sys.stderr)
        return 130
    print(said)
    return 0


def _train(options: argparse.Namespace) -> str:
    config = load_config(options.config, options.set)
    with ExitStack() as stack:
        log = None
        if options.tensorboard:
            folder = options.tensorboard / options.out.resolve().name
            log = stack.enter_context(TensorBoardLog(folder))
        cache = options.cache or default_cache()
        return summary(train(config, options.data, options.out, cache, log))


def _report(options: argparse.Namespace) -> str:
    sampling = Sampling(tuple(options.prompt), options.temperature, options.seed)
    write_report(options.checkpoints, options.out, sampling)
    return str(options.out)


def train(
    config: Config, data: Path, out: Path, cache: Path, log: TensorBoardLog | None = None
) -> dict[str, Any]:
    """Train, or go on, or only read the report of a finished run. Raises TrainError, OSError."""
    checkpoint = Checkpoint(out)
    checkpoint.start(config)
    metrics = out / "metrics.jsonl"
    if checkpoint.report:
        if log:
            log.write(read_metrics(metrics))
        return checkpoint.report
    splits = _corpus(config, data, checkpoint, cache)
    tokenizer = checkpoint.tokenizer()
    end = end_id(tokenizer)
    run = Run(config, checkpoint, splits["train"].ids, splits["valid"].ids, tokenizer)
    parameters = parameter_count(run.learner.model)
    tqdm.write(f"{parameters:,} parameters, vocabulary {tokenizer.get_vocab_size():,}")
    if log:
        run.metrics.follow(log.write)
    run.train()

    model, _, _ = load_model(out)
    report: dict[str, Any] = {
        "name": config.name,
        "parameters": parameter_count(model),
        "vocabulary_size": tokenizer.get_vocab_size(),
        "epochs": run.progress.epoch,
        "minutes": round(run.progress.seconds / 60, 2),
        "tokens_per_second": round(tokens_per_second(read_metrics(metrics))),
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
    draw_learning_curve(read_metrics(metrics), config.name, out / "learning_curve.png")
    write_file(out / "README.md", checkpoint_card(config, report).encode())
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


def _corpus(config: Config, data: Path, checkpoint: Checkpoint, cache: Path) -> dict[str, Split]:
    sources, note = find_splits(data)
    tqdm.write(note)
    fitted = checkpoint.has("tokenizer.json")
    if fitted:
        checkpoint.check_corpus({name: s.content.digest for name, s in sources.items()})
        tokenizer = checkpoint.tokenizer()
    else:
        tokenizer = fit_tokenizer(config.tokenizer, _texts(sources["train"]))
    splits = {name: tokenize(s, tokenizer, cache, name) for name, s in sources.items()}
    if not fitted:
        checkpoint.write_corpus(splits)  # first: tokenizer.json says that all of it is there
        checkpoint.write_inputs(tokenizer, splits["valid"].ids)
    for name, split in splits.items():
        tqdm.write(
            f"{name}: {len(split.ids):,} tokens in {split.lines:,} lines, {split.unknown:,} <unk>"
        )
    return splits


def _texts(source: Source) -> Iterator[str]:
    for block in source.blocks("fitting the tokenizer"):
        yield from block.texts


if __name__ == "__main__":
    sys.exit(main())
