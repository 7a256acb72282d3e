"""`make ablation DATA=…`: what each regulariser gives, on a short text.

    python -m tests.proofs.ablation --data DIR [--config TOML] [--tokens 150000] [--set KEY=VALUE]

Trains the preset on the first words of the training split, then once more for every regulariser:
without one that it has, or with one that it has not. All runs see as many words; the time of each
is in the table. Finished runs in `--out` are not made again.
"""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from train.config_file import load_config
from train.job import train
from train.processes import Processes
from train.source import find_splits

VARIANTS: dict[str, list[str]] = {
    "the preset": [],
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
    "with AR 2, TAR 1": ["loss.activation=2.0", "loss.temporal_activation=1.0"],
    "with past-decode 0.001": ["loss.past_decode=0.001"],
    "with label smoothing 0.05": ["loss.label_smoothing=0.05"],
    "with random BPTT lengths": ["train.random_bptt=true"],
}


def shorten(data: Path, folder: Path, tokens: int) -> None:
    """The splits, the training one up to the line with so many words."""
    sources, _ = find_splits(data)
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        lines, left = [], tokens
        for line in source.lines():
            lines.append(line)
            left -= len(line.split()) + 1
            if name == "train" and left < 0:
                break
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.ablation", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path("train/configs/ptb-small.toml"))
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--tokens", type=int, default=150_000, help="of the training split")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="in all")
    options = parser.parse_args()
    data = options.out / "data"
    shorten(options.data, data, options.tokens)
    rows: list[str] = []
    first = None
    for name, changes in tqdm(VARIANTS.items(), desc="ablation", unit=" runs"):
        config = load_config(options.config, [*options.set, *changes])
        out = options.out / name.replace(" ", "-").replace(",", "")
        report = train(config, data, out, options.out / "cache", Processes())
        valid, test = (report["perplexity"][split] for split in ("valid", "test"))
        first = first or test
        rows.append(
            f"| {name} | {report['minutes']:.1f} | {valid:.1f} | {test:.1f} "
            f"| {test / first - 1:+.1%} |"
        )
        tqdm.write(rows[-1])
    print("| run | minutes | valid | test | against the preset |\n|---|---|---|---|---|")
    print("\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
