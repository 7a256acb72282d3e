"""`make processes DATA=...`: training with two processes against training with one.

    python -m tests.programs.proofs.processes --data DIR [--steps 200] [--config CONFIG]

Trains the same preset at the same global batch with one process and with two, in float32 and with
the random regularisers off, and prints the largest difference of the losses logged at each step.
Exit code 1 if it is above 1e-3 nats.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from service.runtime.startup import print_any_text
from tests.programs.proofs.short_text import shorten
from train.config_file import load_config
from train.report.metrics import read_metrics

LARGEST_DIFFERENCE = 1e-3
PLAIN = [
    *(f"model.dropout_{where}=0.0" for where in ("embedding", "input", "hidden", "output")),
    "model.dropout_weight=0.0",
    "train.precision=float32",
    "train.epochs=1",
    "train.log_every_steps=1",
]


def losses(launcher: list[str], config: Path, data: Path, out: Path) -> list[float]:
    """Return the loss of every step of a run that the launcher starts."""
    settings = [part for setting in PLAIN for part in ("--set", setting)]
    command = [*launcher, "train", str(config), "--data", str(data), "--out", str(out), *settings]
    subprocess.run(
        [*command, "--cache", str(data)], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    lines = read_metrics(out / "metrics.jsonl")
    return [line["cross_entropy"] for line in lines if line["kind"] == "train"]


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.proofs.processes", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--config", type=Path, default=Path("train/configs/ptb-small.toml"))
    options = parser.parse_args()
    training = load_config(options.config, []).train
    tokens = (options.steps + 2) * training.batch_size * training.bptt_length
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    several = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port, "-m"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = shorten(options.data, folder / "data", tokens, tokens // 10)
        one = losses([sys.executable, "-m"], options.config, data, folder / "one")
        two = losses([sys.executable, *several], options.config, data, folder / "two")
    pairs = list(zip(one, two, strict=True))[: options.steps]
    largest = max(abs(a - b) for a, b in pairs)
    print(
        f"{len(pairs)} steps, from {one[0]:.4f} to {pairs[-1][0]:.4f} nats: one process and two "
        f"differ by {largest:.1e} at most"
    )
    return int(largest > LARGEST_DIFFERENCE or len(pairs) < options.steps)


if __name__ == "__main__":
    sys.exit(main())
