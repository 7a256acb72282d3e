"""`make overload`: many clients, and twice the capacity of the service, for minutes.

    python -m tests.programs.benchmarks.overload [--minutes 10] [--bundle BUNDLE]
        [--flags="--threads 1"]

First, 8, 64 and 256 clients each wait for a response before the next request, on an idle machine
and next to an endless loop on one core. Wanted: no rejection, and with 256 clients at least 95 % of
the responses with 64.

Then, for each size of request: the capacity, 80 % and 200 % of it as a Poisson process with 20
requests a second of /next-token, and the capacity again, because machines change. Wanted at 200 %:
only 200 and 429; the 99th percentile of accepted requests at most the limit of the wait plus a
second; at least 95 % of the capacity with 64 sentences and 90 % with one; the 99th percentile of
/next-token at most 100 ms; no more memory at the end than after a fifth of the time.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from service.runtime.startup import print_any_text
from service.settings import STARTER_BUNDLE, read_settings
from tests.programs.benchmarks.servers import Server, service
from tests.programs.soak.mix import PTB_LENGTHS, WORDS

# Sentences a request, and clients that keep every worker busy.
KINDS = {"1 sentence": (1, 64), "64 sentences": (64, 4)}
WANTED_SHARE = {"1 sentence": 0.90, "64 sentences": 0.95}
CLIENTS = (8, 64, 256)
SETTLING_SECONDS = 2.0
KEYSTROKES_A_SECOND = 20.0
# Ten seconds at a thousand requests a second, and a margin.
CONNECTIONS = 15_000


@dataclass
class Phase:
    """One load: the figures of the generators, and the cost to the server."""

    name: str
    seen: dict[str, Any]
    cores: float
    loop_seconds: float
    memory: list[int]
    keystrokes: dict[str, Any] | None = None

    @property
    def statuses(self) -> dict[str, int]:
        return dict(self.seen["statuses"])

    @property
    def others(self) -> int:
        return sum(n for status, n in self.statuses.items() if status not in ("200", "429"))


def payloads(kind: str, count: int) -> list[tuple[int, dict[str, Any]]]:
    """Return tokens and bodies, with sentence lengths of the Penn Treebank."""
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
    """Measurements of one kind of request on one server."""

    def __init__(self, server: Server, folder: Path, kind: str) -> None:
        self._server = server
        lines = payloads(kind, 2000 if kind == "1 sentence" else 100)
        self._scores = _arguments(server, folder / "scores.jsonl", "/score", lines)
        words = [(3, {"context": "The city of"})]
        self._keystrokes = _arguments(server, folder / "keystrokes.jsonl", "/next-token", words)

    def closed(self, name: str, clients: int, seconds: float) -> Phase:
        phase = self._run(name, "load", ["--concurrency", str(clients)], seconds)
        seen = phase.seen
        seen["statuses"] = {"200": round(seen["requests_per_second"] * seconds)}
        if seen["errors"]:
            seen["statuses"]["other than 200"] = seen["errors"]
        seen["answers_per_second"] = seen["sent_per_second"] = seen["requests_per_second"]
        return phase

    def open(self, name: str, rate: float, seconds: float) -> Phase:
        arguments = ["--rate", str(rate), "--connections", str(CONNECTIONS)]
        return self._run(name, "open_loop", arguments, seconds, keystrokes=True)

    def _run(
        self,
        name: str,
        module: str,
        arguments: list[str],
        seconds: float,
        *,
        keystrokes: bool = False,
    ) -> Phase:
        command = [
            sys.executable,
            "-m",
            f"tests.programs.benchmarks.{module}",
            *self._scores,
            *arguments,
        ]
        settle = ["--seconds", str(SETTLING_SECONDS)]
        if not keystrokes:  # an open loop would leave a queue
            subprocess.run([*command, *settle], check=True, stdout=subprocess.DEVNULL)
        memory: list[int] = []
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(1.0):
                memory.append(self._server.memory_bytes["now"])

        watcher = threading.Thread(target=watch)
        watcher.start()
        cpu, loop = self._server.cpu_seconds, self._loop_seconds()
        typing = self._type(seconds) if keystrokes else None
        try:
            output = subprocess.check_output([*command, "--seconds", str(seconds)])
        finally:
            ended.set()
            watcher.join()
        cpu, loop = self._server.cpu_seconds - cpu, self._loop_seconds() - loop
        seen = json.loads(typing.communicate()[0]) if typing else None
        return Phase(name, json.loads(output), cpu / seconds, loop, memory, seen)

    def _type(self, seconds: float) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.programs.benchmarks.open_loop", *self._keystrokes]
        command += ["--rate", str(KEYSTROKES_A_SECOND), "--seconds", str(seconds)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def _loop_seconds(self) -> float:
        """Return the processor seconds of the event loop's thread."""
        pid = self._server.process.pid
        fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _arguments(
    server: Server, file: Path, path: str, lines: list[tuple[int, dict[str, Any]]]
) -> list[str]:
    """Return the arguments of a generator that sends these bodies to the path."""
    file.write_text("\n".join(map(json.dumps, lines)))
    return ["--port", str(server.port), "--path", path, "--payloads", str(file)]


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Run endless loops on the cores for the block."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def measure_clients(bundle: Path, flags: list[str], seconds: float) -> dict[int, list[Phase]]:
    """Return the phases for each number of busy loops, one for each number of clients."""
    results: dict[int, list[Phase]] = {0: [], 1: []}
    with (
        tempfile.TemporaryDirectory() as folder,
        service(bundle, *flags) as server,
        tqdm(total=len(results) * len(CLIENTS), desc="clients", unit=" phases") as bar,
    ):
        bench = Bench(server, Path(folder), "1 sentence")
        for neighbours, phases in results.items():
            with busy_loops(neighbours):
                for clients in CLIENTS:
                    phases.append(bench.closed(f"{clients}", clients, seconds))
                    bar.update()
    return results


def measure_overload(kind: str, bundle: Path, flags: list[str], seconds: float) -> list[Phase]:
    short = min(20.0, max(5.0, seconds / 3))
    clients = KINDS[kind][1]
    with (
        tempfile.TemporaryDirectory() as folder,
        service(bundle, *flags) as server,
        tqdm(total=4, desc=kind, unit=" phases") as bar,
    ):
        bench = Bench(server, Path(folder), kind)
        phases = [bench.closed("capacity", clients, short)]
        capacity = phases[0].seen["answers_per_second"]
        bar.update()
        phases.append(bench.open("80 %", 0.8 * capacity, max(short, seconds / 4)))
        bar.update()
        phases.append(bench.open("200 %", 2 * capacity, seconds))
        bar.update()
        phases.append(bench.closed("capacity again", clients, short))
        bar.update()
    return phases


def clients_table(results: dict[int, list[Phase]]) -> str:
    rows = [
        "| clients, one sentence a request | busy neighbours | 200/s | other answers | p50 ms "
        "| p99 ms | answers ÷ those of 64 clients |",
        "|---|---|---|---|---|---|---|",
    ]
    for neighbours, phases in results.items():
        middle = phases[CLIENTS.index(64)].seen["answers_per_second"]
        rows += [
            f"| {phase.name} | {neighbours} | {phase.seen['answers_per_second']:,.0f} "
            f"| {phase.others} | {phase.seen['p50']:,.0f} | {phase.seen['p99']:,.0f} "
            f"| {phase.seen['answers_per_second'] / middle:.2f} |"
            for phase in phases
        ]
    return "\n".join([*rows, ""])


def overload_table(results: dict[str, list[Phase]], limit_seconds: float) -> str:
    rows = [
        "| load | sent/s | 200/s | 429/s | others | tokens/s | p50 ms | p99 ms | p99 of 429, ms "
        "| p99 of /next-token, ms | cores | generator |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, phases in results.items():
        for phase in phases:
            seen = phase.seen
            refused = seen["sent_per_second"] * phase.statuses.get("429", 0)
            refused /= max(1, sum(phase.statuses.values()))
            typed = "" if phase.keystrokes is None else f"{phase.keystrokes['p99']:,.1f}"
            rows.append(
                f"| {kind}, {phase.name} | {seen['sent_per_second']:,.1f} "
                f"| {seen['answers_per_second']:,.1f} | {refused:,.1f} | {phase.others} "
                f"| {seen['tokens_per_second']:,.0f} | {seen['p50']:,.1f} | {seen['p99']:,.1f} "
                f"| {seen.get('refused_p99', float('nan')):,.1f} | {typed} | {phase.cores:.2f} "
                f"| {seen['generator_cpu']:.2f} |"
            )
    rows += ["", "| at 200 % | wanted | " + " | ".join(results) + " |"]
    rows += ["|---" * (2 + len(results)) + "|"]
    figures = [verdict(kind, phases, limit_seconds) for kind, phases in results.items()]
    rows += [
        f"| {name} | " + " | ".join(figure[name] for figure in figures) + " |"
        for name in figures[0]
    ]
    return "\n".join([*rows, ""])


def verdict(kind: str, phases: list[Phase], limit_seconds: float) -> dict[str, str]:
    before, _, twice, after = phases
    capacity = (before.seen["tokens_per_second"] + after.seen["tokens_per_second"]) / 2
    settled = twice.memory[len(twice.memory) // 5]
    loop = before.loop_seconds / before.statuses["200"]
    refused = twice.statuses.get("429", 0)
    each = (twice.loop_seconds - loop * twice.statuses["200"]) / max(1, refused)
    assert twice.keystrokes is not None
    return {
        "answers other than 200 and 429 | 0": f"{twice.others}",
        f"p99 of what is admitted, seconds | ≤ {limit_seconds + 1:g}": (
            f"{twice.seen['p99'] / 1e3:.1f}"
        ),
        "tokens/s ÷ capacity | ≥ "
        + "; ≥ ".join(f"{share:.2f}" for share in WANTED_SHARE.values()): (
            f"{twice.seen['tokens_per_second'] / capacity:.2f}"
        ),
        "p99 of /next-token, ms | ≤ 100": f"{twice.keystrokes['p99']:.0f}",
        "/next-token refused | 0": f"{twice.keystrokes['statuses'].get('429', 0)}",
        "memory at the end ÷ after a fifth | ≤ 1.02": f"{twice.memory[-1] / settled:.3f}",
        "event loop, µs for a 200 | ": f"{loop * 1e6:,.0f}",
        "event loop, µs for a 429 | ": f"{each * 1e6:,.0f}",
    }


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.benchmarks.overload", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--minutes", type=float, default=10, help="at 200 %%, for each kind")
    parser.add_argument("--bundle", type=Path, default=STARTER_BUNDLE)
    parser.add_argument("--flags", default="", help="flags of the service")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    flags, seconds = options.flags.split(), options.minutes * 60
    limit_seconds = read_settings(flags).max_bulk_wait
    print(clients_table(measure_clients(options.bundle, flags, min(20.0, seconds / 3))), flush=True)
    results = {
        kind: measure_overload(kind, options.bundle, flags, seconds) for kind in options.kinds
    }
    print(overload_table(results, limit_seconds))
    poisson = [phase for phases in results.values() for phase in phases[1:3]]
    return int(any(phase.others for phase in poisson))


if __name__ == "__main__":
    sys.exit(main())
