"""`python -m tests.benchmarks.bulk FILE… [--bundle BUNDLE]`: a corpus through `service.bulk`,
against the same sentences with their ids ready and nothing written; one table.

Each is run in turn, in a process of its own, and ratios are medians over pairs, so that what else
the machine does meanwhile leaves them alone. Reading, tokenizing, writing and committing share the
cores with the workers; loading the bundle is left out of both.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from service.bundle import Bundle
from service.inference.cores import usable_cores
from service.inference.engine import OnnxEngine
from service.settings import STARTER_BUNDLE
from service.tokenizer import Tokenizer
from tests.benchmarks.in_process import _scoring as score_ready_ids

WANTED = 0.90


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bulk", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--bundle", type=Path, default=STARTER_BUNDLE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reference", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reference:
        print(json.dumps(reference(options.bundle, options.files[0], options.reference)))
        return 0
    counts = sorted({1, usable_cores()})
    print(f"{options.bundle.name}; medians of {options.rounds} rounds\n")
    print(
        "| | workers | ids ready, tokens/s | bulk, tokens/s | bulk ÷ ids ready | bulk ÷ 1 worker |"
    )
    print("|---|---|---|---|---|---|")
    for path in options.files:
        rounds = [
            {count: measure(options.bundle, path, count) for count in counts}
            for _ in range(options.rounds)
        ]
        for count in counts:
            pairs = [one[count] for one in rounds]
            ready, bulk, ratio = (
                median(pair[0] for pair in pairs),
                median(pair[1] for pair in pairs),
                median(pair[1] / pair[0] for pair in pairs),
            )
            linear = median(one[count][1] / one[1][1] for one in rounds)
            print(
                f"| {path.parent.name}/{path.name} | {count} | {ready:,.0f} | {bulk:,.0f} "
                f"| {ratio:.2f} | {linear:.2f} |",
                flush=True,
            )
    return 0


def measure(bundle: Path, path: Path, workers: int) -> tuple[float, float]:
    """Tokens a second with ids ready, and in bulk."""
    command = [sys.executable, "-m", "tests.benchmarks.bulk", str(path), "--bundle", str(bundle)]
    ready = _output([*command, "--reference", str(workers)])
    with tempfile.TemporaryDirectory(prefix="tiedlm-bulk-") as folder:
        bulk = _output(
            [
                *(sys.executable, "-m", "service.bulk", str(path), "--keep-empty", "--json"),
                *("--out", f"{folder}/out.jsonl", "--bundle", str(bundle)),
                *("--threads", str(workers)),
            ]
        )
    if bulk["token_count"] != ready["tokens"]:
        raise RuntimeError(f"{bulk['token_count']} tokens in bulk, {ready['tokens']} in process")
    return ready["tokens"] / ready["seconds"], bulk["token_count"] / bulk["seconds"]


def reference(path: Path, sentences: Path, workers: int) -> dict[str, float]:
    bundle = Bundle.load(path)
    tokenizer = Tokenizer(bundle.contents["tokenizer.json"], bundle.manifest)
    end = np.array([tokenizer.end_id])
    lines = sentences.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    ids = [np.concatenate([end, tokenizer.encode(line).ids, end]) for line in lines]
    seconds, _ = score_ready_ids(OnnxEngine(bundle), ids, workers)
    return {"tokens": sum(len(x) - 1 for x in ids), "seconds": seconds}


def _output(command: list[str]) -> Any:
    return json.loads(subprocess.check_output(command, stderr=subprocess.DEVNULL))


if __name__ == "__main__":
    sys.exit(main())
