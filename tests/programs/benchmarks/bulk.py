"""Speed of `service.bulk` against the same sentences as token ids, with no output written.

    python -m tests.programs.benchmarks.bulk FILE... [--bundle BUNDLE]

Prints one table. The two ways run in turn, each in its own process, and the ratios are medians over
pairs, so that other load on the machine affects both alike. Reading, tokenizing and writing share
the cores with the workers. Neither time includes the loading of the bundle.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from service.bundle import Bundle
from service.inference.engine import OnnxEngine
from service.runtime.cpu_count import usable_cores
from service.runtime.startup import print_any_text
from service.settings import STARTER_BUNDLE
from service.text.tokenizer import Tokenizer
from tests.programs.benchmarks.in_process import _scoring as score_ready_ids


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.benchmarks.bulk", description=__doc__
    )
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--bundle", type=Path, default=STARTER_BUNDLE)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reference", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reference:
        print(json.dumps(reference(options.bundle, options.files[0], options.reference)))
        return 0
    counts = sorted({1, usable_cores()})
    print(f"{options.bundle.name}, {options.rounds} rounds; a CPU second is one of one core\n")
    print("| | workers | ids ready, tokens/s | bulk, tokens/s | bulk ÷ ids ready | by CPU time |")
    print("|---|---|---|---|---|---|")
    measured = {
        path: [
            {count: measure(options.bundle, path, count) for count in counts}
            for _ in range(options.rounds)
        ]
        for path in options.files
    }
    for path, rounds in measured.items():
        for count in counts:
            pairs = [one[count] for one in rounds]
            print(
                f"| {path.parent.name}/{path.name} | {count} "
                f"| {median(pair.ready for pair in pairs):,.0f} "
                f"| {median(pair.bulk for pair in pairs):,.0f} "
                f"| {median(pair.bulk / pair.ready for pair in pairs):.2f} "
                f"| {median(pair.bulk_cpu / pair.ready_cpu for pair in pairs):.2f} |"
            )
    print("\n| | workers ÷ 1 worker, bulk | tokens a CPU second | CPU hours for 10⁹ words |")
    print("|---|---|---|---|")
    for path, rounds in measured.items():
        most = counts[-1]
        linear = median(one[most].bulk / one[1].bulk for one in rounds)
        speed = median(one[most].bulk_cpu for one in rounds)
        hours = 1e9 * rounds[0][most].tokens_per_word / speed / 3600
        print(
            f"| {path.parent.name}/{path.name} | {most} ÷ 1: {linear:.2f} | {speed:,.0f} "
            f"| {hours:,.1f} |"
        )
    return 0


@dataclass(frozen=True)
class Pair:
    """Tokens per second with ready ids and in bulk, and tokens per CPU second."""

    ready: float
    bulk: float
    ready_cpu: float
    bulk_cpu: float
    tokens_per_word: float


def measure(bundle: Path, path: Path, workers: int) -> Pair:
    command = [
        sys.executable,
        "-m",
        "tests.programs.benchmarks.bulk",
        str(path),
        "--bundle",
        str(bundle),
    ]
    ready = _output([*command, "--reference", str(workers)])
    with tempfile.TemporaryDirectory(prefix="tiedlm-bulk-") as folder:
        bulk = _output(
            [
                *(sys.executable, "-m", "service.bulk", str(path), "--keep-empty", "--json"),
                *("--out", f"{folder}/out.jsonl", "--bundle", str(bundle)),
                *("--threads", str(workers)),
            ]
        )
    tokens = bulk["token_count"]
    if tokens != ready["tokens"]:
        raise RuntimeError(f"{tokens} tokens in bulk, {ready['tokens']} in process")
    return Pair(
        tokens / ready["seconds"],
        tokens / bulk["seconds"],
        tokens / ready["cpu_seconds"],
        tokens / bulk["cpu_seconds"],
        tokens / bulk["word_count"],
    )


def reference(path: Path, sentences: Path, workers: int) -> dict[str, float]:
    bundle = Bundle.load(path)
    tokenizer = Tokenizer(bundle.contents["tokenizer.json"], bundle.manifest)
    end = np.array([tokenizer.end_id])
    lines = sentences.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    ids = [np.concatenate([end, tokenizer.encode(line).ids, end]) for line in lines]
    seconds, cpu_seconds = score_ready_ids(OnnxEngine(bundle), ids, workers)
    tokens = sum(len(x) - 1 for x in ids)
    return {"tokens": tokens, "seconds": seconds, "cpu_seconds": cpu_seconds}


def _output(command: list[str]) -> Any:
    return json.loads(subprocess.check_output(command, stderr=subprocess.DEVNULL))


if __name__ == "__main__":
    sys.exit(main())
