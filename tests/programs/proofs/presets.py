"""`make presets DATA=...`: every preset trains for some steps and exports in both precisions.

    python -m tests.programs.proofs.presets --data DIR [--steps 200] [--batch-size 8]

Trains each preset's model, with all its regularisers, on the first lines of the text and in small
batches, so that the largest takes minutes on two cores. Prints a table. Exit code 1 if a loss does
not fall or a bundle differs from its checkpoint, which the exporter checks in both precisions.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from model_export.errors import ExportError
from model_export.export import export
from service.runtime.startup import print_any_text
from tests.programs.proofs.short_text import shorten
from train.checkpoint import Checkpoint
from train.config import Config
from train.config_file import load_config
from train.data.corpus import tokenize
from train.data.splits import find_splits
from train.data.tokenizer import fit_tokenizer
from train.loop import TrainingRun
from train.model.lstm import parameter_count

PRESETS = Path("train/configs")


def trial(config: Config, data: Path, folder: Path) -> tuple[int, list[float]]:
    """Train for an epoch; return the number of parameters and the logged perplexities."""
    sources, _ = find_splits(data)
    checkpoint = Checkpoint(folder / "checkpoint")
    checkpoint.start(config)
    tokenizer = fit_tokenizer(config.tokenizer, sources["train"].lines())
    splits = {n: tokenize(s, tokenizer, folder / "cache", n) for n, s in sources.items()}
    checkpoint.write_inputs(tokenizer, splits["valid"].ids)
    run = TrainingRun(config, checkpoint, splits["train"].ids, splits["valid"].ids, tokenizer)
    perplexities: list[float] = []
    assert run.metrics is not None
    run.metrics.follow(lambda lines: perplexities.extend(line["perplexity"] for line in lines))
    run.train()
    return parameter_count(run.train_step.model), perplexities


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.proofs.presets", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=8)
    options = parser.parse_args()
    failed = False
    rows = []
    for preset in sorted(PRESETS.glob("*.toml")):
        quick = [f"train.batch_size={options.batch_size}", "train.epochs=1"]
        quick += ["train.warmup_steps=20", "train.log_every_steps=20"]
        config = load_config(preset, quick)
        tokens = options.steps * options.batch_size * config.train.bptt_length
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            data = shorten(options.data, folder / "data", tokens, tokens // 10)
            size, perplexities = trial(config, data, folder)
            try:
                manifests = [
                    export(folder / "checkpoint", folder / kind, kind)
                    for kind in ("float32", "int8")
                ]
                exact, rounded = (m.parity if m.fidelity is None else m.fidelity for m in manifests)
                parity = " | ".join(
                    f"{x['max_abs_logprob_difference']:.1e}" for x in (exact, rounded)
                )
            except ExportError as error:
                parity, failed = f"{error} |", True
        first, last = perplexities[0], perplexities[-1]
        failed |= not last < first
        rows.append(f"| {config.name} | {size:,} | {first:.0f} → {last:.0f} | {parity} |")
        print(rows[-1], file=sys.stderr)
    print(
        "| preset | parameters | perplexity | difference, float32 | int8 |\n|---|---|---|---|---|"
    )
    print("\n".join(rows))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
