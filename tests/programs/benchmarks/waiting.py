"""Speed of training for each way in which OpenMP's threads can wait.

    python -m tests.programs.benchmarks.waiting [--busy N]

Each way of waiting has a process of its own, because libgomp reads the environment once. The
processes take turns of some seconds, so that each round compares them under the same conditions;
the others stand still meanwhile. The first way is the reference of the ratios.

With `--busy N`, N endless loops take processor time from all of them. With `--idle`, a round counts
only if all other programs of the machine together took less than 3 % of a core in it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from statistics import median

WATCHED = "TIEDLM_BENCHMARK_WATCHED"
WAYS: dict[str, dict[str, str]] = {
    "spinning, libgomp's default": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "as `python -m train`": {WATCHED: "1"},
}
TOKENS = 200_000
WARM_UP_SECONDS = 1.5  # of a turn, after which the trainer has chosen how its threads wait
MOST_OF_A_CORE = 0.03
LOOP = "while True: pass"


def learn() -> None:
    """Take steps at each line of standard input; print the tokens a second of each turn."""
    import numpy as np

    from train.checkpoint import Checkpoint
    from train.config import Config, ModelConfig, TokenizerConfig, TrainConfig
    from train.data.tokenizer import fit_tokenizer
    from train.loop import TrainingRun
    from train.runtime.thread_waiting import SpinControl

    width, vocabulary, seconds = map(int, sys.argv[2:5])
    config = Config(
        name="speed",
        tokenizer=TokenizerConfig(kind="whitespace"),
        model=ModelConfig(embedding_size=width, hidden_size=width),
        train=TrainConfig(log_every_steps=10**9),
    )
    words = " ".join(f"w{index}" for index in range(vocabulary - 2))
    tokenizer = fit_tokenizer(config.tokenizer, [words])
    ids = (vocabulary * np.random.default_rng(0).random(TOKENS) ** 3).astype(np.int32)
    waiting = SpinControl() if WATCHED in os.environ else nullcontext()
    with tempfile.TemporaryDirectory() as folder, waiting:
        checkpoint = Checkpoint(Path(folder))
        checkpoint.start(config)
        run = TrainingRun(config, checkpoint, ids, ids[:100], tokenizer)

        def step() -> int:
            if run.position.epoch_step == run.streams.steps:
                run.position.epoch_step = 0
                run.streams.start_epoch(0)
            return run._step()

        for _ in sys.stdin:
            turn_ends = time.perf_counter() + WARM_UP_SECONDS
            while time.perf_counter() < turn_ends:
                step()
            begun, tokens = time.perf_counter(), 0
            while not tokens or time.perf_counter() - begun < seconds:
                tokens += step()
            print(tokens / (time.perf_counter() - begun), flush=True)


def start(way: dict[str, str], options: argparse.Namespace) -> "subprocess.Popen[str]":
    sizes = (options.width, options.vocabulary, options.seconds)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.programs.benchmarks.waiting", "learn", *map(str, sizes)],
        env=clean | way,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def turn(process: "subprocess.Popen[str]") -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def used_by_others(processes: "Iterable[subprocess.Popen[str]]") -> float:
    """Return the seconds of processor time since the start that other programs took (Linux)."""
    ticks = os.sysconf("SC_CLK_TCK")
    user, nice, system, _, _, interrupts, soft, *_ = (
        int(figure) for figure in Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    used = user + nice + system + interrupts + soft
    for pid in [os.getpid(), *(process.pid for process in processes)]:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used -= int(fields[11]) + int(fields[12])
    return used / ticks


def stop(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.benchmarks.waiting", description=__doc__
    )
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="endless loops next to it")
    parser.add_argument("--idle", action="store_true", help="leave out rounds that others disturb")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=3, help="of a turn")
    parser.add_argument("--width", type=int, default=400)
    parser.add_argument("--vocabulary", type=int, default=10_000)
    parser.add_argument("--spin-count", type=int, action="append", default=[], metavar="N")
    options = parser.parse_args()
    ways = WAYS | {f"GOMP_SPINCOUNT={n}": {"GOMP_SPINCOUNT": str(n)} for n in options.spin_count}
    with ExitStack() as stack:
        processes = {}
        for name, way in ways.items():
            processes[name] = start(way, options)
            stack.callback(stop, processes[name])
        for process in processes.values():
            turn(process)  # to warm up
        for _ in range(options.busy):
            stack.callback(stop, subprocess.Popen([sys.executable, "-c", LOOP], text=True))
        rounds: list[dict[str, float]] = []
        while len(rounds) < options.rounds:
            begun, before = time.monotonic(), used_by_others(processes.values())
            speeds = {name: turn(process) for name, process in processes.items()}
            share = (used_by_others(processes.values()) - before) / (time.monotonic() - begun)
            if options.idle and share > MOST_OF_A_CORE:
                time.sleep(1)
                continue
            rounds.append(speeds)
            print("  ".join(f"{speed:,.0f}" for speed in speeds.values()), file=sys.stderr)
    first = next(iter(ways))
    print(f"{options.busy} busy loops, {len(rounds)} rounds of {options.seconds} s, medians")
    print("| threads wait | tokens/s | ratio | ratio, lowest and highest |\n|---|---|---|---|")
    for name in ways:
        ratios = sorted(pair[name] / pair[first] for pair in rounds)
        speed = median(pair[name] for pair in rounds)
        print(
            f"| {name} | {speed:,.0f} | {median(ratios):.2f} | {ratios[0]:.2f}, {ratios[-1]:.2f} |"
        )
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["learn"]:
        learn()
    else:
        sys.exit(main())
