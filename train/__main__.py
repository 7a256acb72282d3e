"""`python -m train CONFIG --data DIR --out CHECKPOINT`: text in, a checkpoint directory out."""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from tqdm import tqdm

from train.atomic import write_file
from train.checkpoint import Checkpoint, load_model
from train.config import Config, load_config
from train.corpus import Split, default_cache, tokenize
from train.errors import TrainError
from train.evaluation import evaluate, evaluate_by_sentence
from train.loop import Run
from train.metrics import draw_learning_curve, read_metrics
from train.model import parameter_count
from train.source import Source, find_splits
from train.tokenizer import end_id, fit_tokenizer


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        config = load_config(options.config, options.set)
        report = train(config, options.data, options.out, options.cache or default_cache())
    except TrainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.strerror}: {error.filename or options.out}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    print(summary(report))
    return 0


def train(config: Config, data: Path, out: Path, cache: Path) -> dict[str, Any]:
    """Train, or go on, or only read the report of a finished run. Raises TrainError, OSError."""
    checkpoint = Checkpoint(out)
    checkpoint.start(config)
    if checkpoint.report:
        return checkpoint.report
    splits = _corpus(config, data, checkpoint, cache)
    tokenizer = checkpoint.tokenizer()
    end = end_id(tokenizer)
    run = Run(config, checkpoint, splits["train"], splits["valid"], tokenizer.get_vocab_size(), end)
    tqdm.write(
        f"{parameter_count(run.model):,} parameters, vocabulary {tokenizer.get_vocab_size():,}"
    )
    run.train()

    model, _, _ = load_model(out)
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
        "--cache",
        type=Path,
        help="folder of tokenized text, which runs share (~/.cache/tiedlm); may be deleted",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override a key"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
