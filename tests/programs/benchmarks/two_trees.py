"""Compare the speed of two checkouts, in pairs.

    python -m tests.programs.benchmarks.two_trees OLD [--rounds 6] [--seconds 4]

Start the service of OLD and of this checkout, each with its own code and its own starter bundle.
Send the same load to both in turn, in the order old, new, new, old, so that a drift
of the machine's speed cancels. Do the same with `service.bulk`. Print the median of the ratios
new / old: above 1 is faster. A CPU ratio compares the processor time that the same work took.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
from tqdm import tqdm

from service.runtime.startup import print_any_text
from tests.programs.benchmarks.random_model import sentences
from tests.programs.benchmarks.servers import Server, serving

HERE = Path(__file__).parents[3]
BULK_SENTENCES = 20_000


@dataclass(frozen=True)
class Speed:
    """Units of work a second, and a second of processor time."""

    per_second: float
    per_cpu_second: float


Measure = Callable[[], Speed]


@dataclass(frozen=True)
class Comparison:
    """Ratios new ÷ old of the pairs."""

    wall: list[float]
    cpu: list[float]


def main() -> int:
    print_any_text()
    program = "python -m tests.programs.benchmarks.two_trees"
    parser = argparse.ArgumentParser(prog=program, description=__doc__)
    parser.add_argument("old", type=Path, help="another checkout of the project")
    parser.add_argument("--rounds", type=int, default=6, help="pairs of measurements")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement")
    options = parser.parse_args()
    trees = (options.old.resolve(), HERE)
    with tempfile.TemporaryDirectory(prefix="tiedlm-trees-") as name, ExitStack() as stack:
        folder = Path(name)
        plans = [
            {**_http(stack, tree, folder, options.seconds), "bulk": _bulk(tree, folder)}
            for tree in trees
        ]
        compared = {row: _compare(plans[0][row], plans[1][row], options.rounds) for row in plans[0]}
    print("| new ÷ old | pairs | median | smallest | largest | median by CPU time |")
    print("|---|---|---|---|---|---|")
    for row, pairs in compared.items():
        print(
            f"| {row} | {len(pairs.wall)} | {median(pairs.wall):.3f} | {min(pairs.wall):.3f} "
            f"| {max(pairs.wall):.3f} | {median(pairs.cpu):.3f} |"
        )
    return 0


def _compare(old: Measure, new: Measure, rounds: int) -> Comparison:
    wall, cpu = [], []
    for index in tqdm(range(rounds), desc="pairs", leave=False):
        if index % 2:
            after, before = new(), old()
        else:
            before, after = old(), new()
        wall.append(after.per_second / before.per_second)
        cpu.append(after.per_cpu_second / before.per_cpu_second)
    return Comparison(wall, cpu)


def _http(stack: ExitStack, tree: Path, folder: Path, seconds: float) -> dict[str, Measure]:
    server = stack.enter_context(serving("service", "--port", "0", tree=tree))
    lines = sentences(None)[:1000]
    single = [(len(line.split()) + 1, {"text": line}) for line in lines]
    answer = httpx.post(
        f"http://127.0.0.1:{server.port}/next-token",
        json={"context": lines[0], "return_state": True},
        timeout=60,
    )
    state = answer.raise_for_status().json()["state"]
    words = sorted({word for line in lines for word in line.split()})
    stateful = [(1, {"context": word, "state": state}) for word in words]

    def measure(path: str, payloads: Sequence[object], clients: int) -> Measure:
        file = folder / f"{server.port}-{path.strip('/')}.jsonl"
        file.write_text("\n".join(map(json.dumps, payloads)))
        return lambda: _load(server, path, file, clients, seconds)

    return {
        "/score, 1 client": measure("/score", single, 1),
        "/score, 64 clients": measure("/score", single, 64),
        "/next-token with a state, 1 client": measure("/next-token", stateful, 1),
    }


def _load(server: Server, path: str, payloads: Path, clients: int, seconds: float) -> Speed:
    command = [sys.executable, "-m", "tests.programs.benchmarks.load", "--port", str(server.port)]
    command += ["--path", path, "--payloads", str(payloads), "--concurrency", str(clients)]
    before = server.cpu_seconds
    result = json.loads(subprocess.check_output([*command, "--seconds", str(seconds)]))
    if result["errors"]:
        raise RuntimeError(f"{result['errors']} requests to {path} failed")
    rate = result["requests_per_second"]
    return Speed(rate, rate * seconds / (server.cpu_seconds - before))


def _bulk(tree: Path, folder: Path) -> Measure:
    text = folder / "sentences.txt"
    lines = sentences(None)
    text.write_text("\n".join((lines * (BULK_SENTENCES // len(lines) + 1))[:BULK_SENTENCES]))
    command = [sys.executable, "-m", "service.bulk", str(text), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(tree)}

    def measure() -> Speed:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            before = _cpu_of_children()
            done = subprocess.run(
                [*command, "--out", f"{out}/scores.jsonl"],
                check=True,
                capture_output=True,
                text=True,
                cwd=tree,
                env=environment,
            )
            cpu = _cpu_of_children() - before
        summary = json.loads(done.stdout)
        tokens = summary["token_count"]
        return Speed(tokens / summary["seconds"], tokens / cpu)

    return measure


def _cpu_of_children() -> float:
    """Return the processor time of all child processes that have ended, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
