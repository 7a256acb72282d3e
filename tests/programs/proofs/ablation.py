"""`make ablation DATA=...`: the effect of each regulariser at equal time, on a short text.

    python -m tests.programs.proofs.ablation --data DIR [--config TOML] [--tokens 100000]
        [--set KEY=VALUE]

Trains the preset on the first words of the training split, then once more for every regulariser:
without one of its regularisers, or with one that it lacks. Variants that would change nothing are
skipped. A regulariser costs time, so its steps are timed first, in turns with the preset's, and a
slower variant gets fewer epochs. Every run has one thread; `--jobs` runs go side by side. Finished
runs in `--out` are kept. Prints a table, and draws it with `--picture PNG`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from service.runtime.startup import print_any_text
from tests.programs.proofs.short_text import shorten
from train.config import Config
from train.config_file import load_config
from train.data.corpus import tokenize
from train.data.splits import find_splits
from train.data.streams import Streams
from train.data.tokenizer import end_id, fit_tokenizer
from train.report.curves import COLOURS
from train.runtime.distributed import Processes
from train.train_step import TrainStep

PRESET, SEED = "the preset", "the preset, another seed"
VARIANTS: dict[str, list[str]] = {
    PRESET: [],
    SEED: ["train.seed=2"],
    "without dropout of words": ["model.dropout_embedding=0.0"],
    "without dropout of inputs": ["model.dropout_input=0.0"],
    "without dropout between layers": ["model.dropout_hidden=0.0"],
    "without dropout before the softmax": ["model.dropout_output=0.0"],
    "without any dropout": [
        f"model.dropout_{part}=0.0" for part in ("embedding", "input", "hidden", "output")
    ],
    "without the average": ['average.kind="none"'],
    "without partial shuffling": ["train.partial_shuffle=false"],
    "without weight decay": ["train.weight_decay=0.0"],
    "with locked dropout": ["model.locked_dropout=true"],
    "with weight-drop 0.3": ["model.dropout_weight=0.3"],
    "without AR and TAR": ["loss.activation=0.0", "loss.temporal_activation=0.0"],
    "with AR 2, TAR 1": ["loss.activation=2.0", "loss.temporal_activation=1.0"],
    "with past-decode 0.001": ["loss.past_decode=0.001"],
    "with label smoothing 0.05": ["loss.label_smoothing=0.05"],
    "with random BPTT lengths": ["train.random_bptt=true"],
}
# Settings in steps suit long runs; these runs have about a tenth of the steps.
SHORT_RUN = ["average.decay=0.99", "train.warmup_steps=50"]
ROUNDS, STEPS = 5, 8  # of timing, and in each


def timed_steps(config: Config, data: Path, cache: Path) -> Iterator[float]:
    """Return the seconds per token of groups of steps."""
    source = find_splits(data)[0]["train"]
    tokenizer = fit_tokenizer(config.tokenizer, source.lines())
    ids = tokenize(source, tokenizer, cache, "train").ids
    streams = Streams(ids, end_id(tokenizer), config.train)
    streams.start_epoch(0)
    train_step = TrainStep(config, tokenizer, Processes())
    step = 0
    while step + STEPS <= streams.steps:
        begun, tokens = time.perf_counter(), 0
        for number in range(step, step + STEPS):
            train_step.stopwatch.start()
            batch = streams.batch(number)
            train_step.step(batch, config.train.learning_rate, number)
            tokens += batch.inputs.numel()
        yield (time.perf_counter() - begun) / tokens
        step += STEPS


def slowness(preset: Config, variant: Config, data: Path, cache: Path) -> float:
    """Return the time of a variant's step ÷ the preset's, after one round of warm-up."""
    both = zip(timed_steps(preset, data, cache), timed_steps(variant, data, cache), strict=False)
    rounds = [theirs / ours for _, (ours, theirs) in zip(range(ROUNDS + 1), both, strict=False)]
    return statistics.median(rounds[1:])


def train(command: list[str], out: Path) -> dict[str, Any]:
    """Return the report of a new or finished run; its output goes to OUT.log."""
    with out.with_name(out.name + ".log").open("a") as log:
        subprocess.run(
            [sys.executable, "-m", "train", *command, "--out", str(out)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
        )
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


def table(slower: dict[str, float], reports: dict[str, Any]) -> str:
    """Return the perplexities with carried state as a Markdown table."""
    gains = against_preset(reports)
    rows = [
        "| run | time of a step | epochs | valid | test | test, against the preset |",
        "|---|---|---|---|---|---|",
    ]
    for name, report in reports.items():
        valid, test = (report["perplexity"][split] for split in ("valid", "test"))
        figures = f"{slower[name]:.2f} | {report['epochs']} | {valid:.1f} | {test:.1f}"
        rows.append(f"| {name} | {figures} | {gains[name]:+.1%} |")
    return "\n".join(rows)


def against_preset(reports: dict[str, Any]) -> dict[str, float]:
    """Return the change of the test perplexity, as a share of the preset's; below 0 is better."""
    tests = {name: report["perplexity"]["test"] for name, report in reports.items()}
    return {name: test / tests[PRESET] - 1 for name, test in tests.items()}


def draw(reports: dict[str, Any], path: Path) -> None:
    """Draw a bar for each variant, and the effect of another seed in grey."""
    gains = {name: 100 * gain for name, gain in against_preset(reports).items()}
    del gains[PRESET]
    seed = abs(gains.pop(SEED))
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    names = sorted(gains, key=lambda name: -gains[name])
    colours = [COLOURS[gains[name] > 0] for name in names]
    bars = axes.barh(names, [gains[name] for name in names], color=colours)
    axes.bar_label(bars, fmt="%+.1f %%", padding=3)
    axes.axvspan(-seed, seed, color="0.5", alpha=0.25)
    axes.margins(x=0.2)
    axes.set_xlabel("test perplexity against the preset's, % (grey: another seed)")
    figure.savefig(path, dpi=120)


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.proofs.ablation", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path("train/configs/ptb-small.toml"))
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--tokens", type=int, default=100_000, help="of the training split")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="in all")
    parser.add_argument("--picture", type=Path, metavar="PNG")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    torch.set_num_threads(1)
    data, cache = options.out / "data", options.out / "cache"
    shorten(options.data, data, options.tokens)
    common = [*SHORT_RUN, *options.set]
    preset = load_config(options.config, common)
    variants = {
        name: changes
        for name, changes in VARIANTS.items()
        if name == PRESET or load_config(options.config, [*common, *changes]) != preset
    }

    pace = options.out / "pace.json"
    slower: dict[str, float] = json.loads(pace.read_text()) if pace.exists() else {PRESET: 1.0}
    for name, changes in tqdm(
        variants.items(), desc="timing steps", unit=" variants", disable=None
    ):
        if name not in slower:
            variant = load_config(options.config, [*common, *changes])
            slower[name] = slowness(preset, variant, data, cache)
            pace.write_text(json.dumps(slower))

    def run(name: str) -> dict[str, Any]:
        epochs = max(1, round(preset.train.epochs / slower[name]))
        changes = [*common, *variants[name], f"train.epochs={epochs}"]
        settings = [part for change in changes for part in ("--set", change)]
        inputs = [str(options.config), "--data", str(data), "--cache", str(cache)]
        return train([*inputs, *settings], options.out / name.replace(" ", "-").replace(",", ""))

    with ThreadPoolExecutor(options.jobs) as pool:
        runs = tqdm(pool.map(run, variants), "training", len(variants), unit=" runs", disable=None)
        reports = dict(zip(variants, runs, strict=True))
    print(table(slower, reports))
    if options.picture:
        draw(reports, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
