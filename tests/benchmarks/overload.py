"""`make overload`: twice the load that the service can take, for minutes.

    python -m tests.benchmarks.overload [--minutes 10] [--bundle BUNDLE] [--flags="--threads 1"]

First the capacity, by clients that wait for each answer; then 80 % and 200 % of it as a Poisson
process; then the capacity again, for machines change. Wanted at 200 %: every answer a 200 or a
429, the 99th percentile of those that were let in at most three times that at 80 %, as much work
done as at capacity, and no more memory at the end than after a fifth of the time.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from service.console import print_any_text
from service.settings import STARTER_BUNDLE
from tests.benchmarks.servers import Server, service
from tests.soak.mix import PTB_LENGTHS, WORDS

# Clients that fill every worker, and do not yet wait long enough to be refused.
KINDS = {"1 sentence": (1, 64), "64 sentences": (64, 4)}
SETTLING_SECONDS = 2.0


@dataclass
class Phase:
    """One load: what the generator saw, and what it cost the server."""

    name: str
    seen: dict[str, Any]
    cores: float
    loop_seconds: float
    memory: list[int]

    @property
    def statuses(self) -> dict[str, int]:
        return dict(self.seen["statuses"])

    @property
    def others(self) -> int:
        return sum(n for status, n in self.statuses.items() if status not in ("200", "429"))


def payloads(kind: str, count: int) -> list[tuple[int, dict[str, Any]]]:
    """Tokens and bodies; sentences as long as the Penn Treebank's."""
    chance = random.Random(0)

    def sentence() -> str:
        length = np.interp(chance.random() * 10, range(11), PTB_LENGTHS)
        return " ".join(chance.choices(WORDS, k=round(float(length))))

    made: list[tuple[int, dict[str, Any]]] = []
    for _ in range(count):
        texts = [sentence() for _ in range(KINDS[kind][0])]
        tokens = sum(len(text.split()) + 1 for text in texts)
        body = {"text": texts[0]} if len(texts) == 1 else {"texts": texts, "tokens": False}
        made.append((tokens, body))
    return made


class Bench:
    def __init__(self, server: Server, file: Path, clients: int) -> None:
        self._server = server
        self._clients = clients
        self._arguments = ["--port", str(server.port), "--path", "/score", "--payloads", str(file)]

    def closed(self, name: str, seconds: float) -> Phase:
        clients = ["--concurrency", str(self._clients)]
        phase = self._run(name, "load", clients, seconds)
        seen = phase.seen
        seen["statuses"] = {"200": round(seen["requests_per_second"] * seconds)}
        if seen["errors"]:
            seen["statuses"]["other than 200"] = seen["errors"]
        seen["answers_per_second"] = seen["sent_per_second"] = seen["requests_per_second"]
        return phase

    def open(self, name: str, rate: float, seconds: float) -> Phase:
        return self._run(name, "open_loop", ["--rate", str(rate)], seconds)

    def _run(self, name: str, module: str, arguments: list[str], seconds: float) -> Phase:
        command = [sys.executable, "-m", f"tests.benchmarks.{module}", *self._arguments, *arguments]
        settle = ["--seconds", str(SETTLING_SECONDS)]
        subprocess.run([*command, *settle], check=True, stdout=subprocess.DEVNULL)
        memory: list[int] = []
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(1.0):
                memory.append(self._server.memory_bytes["now"])

        watcher = threading.Thread(target=watch)
        watcher.start()
        cpu, loop = self._server.cpu_seconds, self._loop_seconds()
        try:
            output = subprocess.check_output([*command, "--seconds", str(seconds)])
        finally:
            ended.set()
            watcher.join()
        cpu, loop = self._server.cpu_seconds - cpu, self._loop_seconds() - loop
        return Phase(name, json.loads(output), cpu / seconds, loop, memory)

    def _loop_seconds(self) -> float:
        """Processor time of the thread that runs the event loop."""
        pid = self._server.process.pid
        fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(kind: str, bundle: Path, flags: list[str], seconds: float) -> list[Phase]:
    short = min(20.0, max(5.0, seconds / 3))
    with tempfile.TemporaryDirectory() as folder, service(bundle, *flags) as server:
        file = Path(folder) / "payloads.jsonl"
        lines = payloads(kind, 2000 if kind == "1 sentence" else 100)
        file.write_text("\n".join(map(json.dumps, lines)))
        bench = Bench(server, file, KINDS[kind][1])
        with tqdm(total=4, desc=kind, unit=" phases") as bar:
            phases = [bench.closed("capacity", short)]
            capacity = phases[0].seen["answers_per_second"]
            bar.update()
            phases.append(bench.open("80 %", 0.8 * capacity, max(short, seconds / 4)))
            bar.update()
            phases.append(bench.open("200 %", 2 * capacity, seconds))
            bar.update()
            phases.append(bench.closed("capacity again", short))
            bar.update()
    return phases


def table(results: dict[str, list[Phase]]) -> str:
    rows = [
        "| load | sent/s | 200/s | 429/s | others | tokens/s | p50 ms | p99 ms | p99 of 429, ms "
        "| cores | generator |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, phases in results.items():
        for phase in phases:
            seen = phase.seen
            refused = seen["sent_per_second"] * phase.statuses.get("429", 0)
            refused /= max(1, sum(phase.statuses.values()))
            rows.append(
                f"| {kind}, {phase.name} | {seen['sent_per_second']:,.1f} "
                f"| {seen['answers_per_second']:,.1f} | {refused:,.1f} | {phase.others} "
                f"| {seen['tokens_per_second']:,.0f} | {seen['p50']:,.1f} | {seen['p99']:,.1f} "
                f"| {seen.get('refused_p99', float('nan')):,.1f} | {phase.cores:.2f} "
                f"| {seen['generator_cpu']:.2f} |"
            )
    rows += ["", "| | wanted | " + " | ".join(results) + " |", "|---" * (2 + len(results)) + "|"]
    figures = [verdict(phases) for phases in results.values()]
    rows += [
        f"| {name} | " + " | ".join(figure[name] for figure in figures) + " |"
        for name in figures[0]
    ]
    return "\n".join([*rows, ""])


def verdict(phases: list[Phase]) -> dict[str, str]:
    before, most, twice, after = phases
    capacity = (before.seen["tokens_per_second"] + after.seen["tokens_per_second"]) / 2
    settled = twice.memory[len(twice.memory) // 5]
    loop = before.loop_seconds / before.statuses["200"]
    refused = twice.statuses.get("429", 0)
    each = (twice.loop_seconds - loop * twice.statuses["200"]) / max(1, refused)
    return {
        "others than 200 and 429 at 200 % | 0": f"{twice.others}",
        "p99 at 200 % ÷ p99 at 80 % | ≤ 3": f"{twice.seen['p99'] / most.seen['p99']:.2f}",
        "tokens/s at 200 % ÷ capacity | ≥ 0.85; ≥ 0.95": (
            f"{twice.seen['tokens_per_second'] / capacity:.2f}"
        ),
        "memory at the end ÷ after a fifth | ≤ 1.02": f"{twice.memory[-1] / settled:.3f}",
        "event loop, µs for a 200 | ": f"{loop * 1e6:,.0f}",
        "event loop, µs for a 429 | ": f"{each * 1e6:,.0f}",
    }


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.overload", description=__doc__
    )
    parser.add_argument("--minutes", type=float, default=10, help="at 200 %%, for each kind")
    parser.add_argument("--bundle", type=Path, default=STARTER_BUNDLE)
    parser.add_argument("--flags", default="", help="of the service")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    flags = options.flags.split()
    results = {
        kind: measure(kind, options.bundle, flags, options.minutes * 60) for kind in options.kinds
    }
    print(table(results))
    poisson = [phase for phases in results.values() for phase in phases[1:3]]
    return int(any(phase.others for phase in poisson))


if __name__ == "__main__":
    sys.exit(main())
