"""`make scale-bulk`: the memory of scoring a large input against a small one.

    python -m tests.programs.scale.bulk [--megabytes 2000] [--small 20] [--bundle BUNDLE]
        [--out NAME]

Writes both texts, scores one after the other, and prints the peak memory of each. Exit code 1 if
the large one took over 20 MB more than the small one. Without `--bundle` the model is tiny, so that
the figure is the memory of the job itself.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from model_export.export import export
from service.runtime.startup import print_any_text
from tests.programs.benchmarks.random_model import write_checkpoint
from tests.programs.scale.text import write_corpus
from tests.programs.scale.watch import ROOT, SAMPLE_SECONDS, Memory
from train.config import Config, ModelConfig, TokenizerConfig

LARGEST_GROWTH_BYTES = 20_000_000


@dataclass(frozen=True)
class Scored:
    memory: Memory
    seconds: float


def score(folder: Path, megabytes: float, *arguments: str, out: str = "out.jsonl") -> Scored:
    text = write_corpus(folder / f"{megabytes:g}", megabytes) / "train.txt"
    command = [sys.executable, "-m", "service.bulk", str(text), "--out", str(folder / out)]
    memory, begun = Memory(), time.monotonic()
    process = subprocess.Popen([*command, "--overwrite", *arguments], cwd=ROOT, stdout=sys.stderr)
    while process.poll() is None:
        memory.see(process.pid)
        time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        raise RuntimeError(f"python -m service.bulk ended with code {process.returncode}")
    return Scored(memory, time.monotonic() - begun)


def smallest_bundle(folder: Path) -> Path:
    """Write a bundle of 2 × 16, 50 words, random weights."""
    config = Config(
        name="smallest",
        tokenizer=TokenizerConfig(kind="whitespace"),
        model=ModelConfig(embedding_size=16, hidden_size=16, layers=2),
    )
    checkpoint = write_checkpoint(folder / "smallest", config, 50, [])
    export(checkpoint, folder / "bundle")
    return folder / "bundle"


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.scale.bulk", description=__doc__
    )
    parser.add_argument("--megabytes", type=float, default=2000)
    parser.add_argument("--small", type=float, default=20)
    parser.add_argument("--out", default="out.jsonl")
    parser.add_argument("--bundle", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tiedlm-scale-") as name:
        bundle = options.bundle or smallest_bundle(Path(name))
        small, large = (
            score(Path(name), megabytes, "--bundle", str(bundle.resolve()), out=options.out)
            for megabytes in (options.small, options.megabytes)
        )
    print("| MB of text | anonymous memory, MB | resident memory, MB | seconds |")
    print("|---|---|---|---|")
    for megabytes, scored in ((options.small, small), (options.megabytes, large)):
        anonymous, resident = scored.memory.anonymous / 1e6, scored.memory.resident / 1e6
        print(f"| {megabytes:g} | {anonymous:,.0f} | {resident:,.0f} | {scored.seconds:,.0f} |")
    return int(large.memory.anonymous - small.memory.anonymous > LARGEST_GROWTH_BYTES)


if __name__ == "__main__":
    sys.exit(main())
