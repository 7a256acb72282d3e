"""Speed without HTTP, printed as one JSON line.

python -m tests.programs.benchmarks.in_process BUNDLE SENTENCES
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from service.bundle import Bundle
from service.inference.batcher import Batcher
from service.inference.engine import OnnxEngine
from service.inference.scheduler import Scheduler
from service.inference.task import InferenceTask, run_batch
from service.runtime.cpu_count import usable_cores
from service.text.tokenizer import Tokenizer
from tests.support.admission import make_admission

REPEATS = 7
ROUNDS = 5
BATCH, STEPS = 16, 24


def median_seconds(call: Callable[[], object]) -> float:
    call()
    seconds = []
    for _ in range(REPEATS):
        begun = time.thread_time()
        call()
        seconds.append(time.thread_time() - begun)
    return median(seconds)


def measure(bundle: Bundle, texts: list[str]) -> dict[str, float]:
    engine = OnnxEngine(bundle)
    tokenizer = Tokenizer(bundle.contents["tokenizer.json"], bundle.manifest)
    end = np.array([tokenizer.end_id])
    ids = [np.concatenate([end, tokenizer.encode(text).ids, end]) for text in texts]
    figures = _engine(engine)
    tokens = sum(len(x) - 1 for x in ids)
    counts = sorted({1, usable_cores()})
    rounds = [{n: _scoring(engine, ids, n) for n in counts} for _ in range(ROUNDS)]
    for threads in counts:
        wall, cpu = (median(one[threads][i] for one in rounds) for i in (0, 1))
        figures[f"tokens_per_second_{threads}"] = tokens / wall
        figures[f"tokens_per_cpu_second_{threads}"] = tokens / cpu
    figures["scaling"] = median(one[1][0] / one[counts[-1]][0] for one in rounds)
    return figures


def _engine(engine: OnnxEngine) -> dict[str, float]:
    """Return median thread seconds of a batch in the encoder and decoder, and of a step."""
    random = np.random.default_rng(0)
    ids = random.integers(0, engine.vocabulary_size, (BATCH, STEPS))
    lengths = np.full(BATCH, STEPS, np.int32)
    state = np.tile(engine.zero_state(), (BATCH, 1))
    hidden, _ = engine.encode(ids, lengths, state)
    targets = random.integers(0, engine.vocabulary_size, BATCH * STEPS)
    one = (ids[:1, :1], np.ones(1, np.int32), state[:1])
    return {
        "encode": median_seconds(lambda: engine.encode(ids, lengths, state)),
        "decode": median_seconds(lambda: engine.decode(hidden, targets, False, 0)),
        "step": median_seconds(
            lambda: engine.log_distribution(engine.hidden(engine.encode(*one)[1]))
        ),
    }


def _scoring(engine: OnnxEngine, ids: list[np.ndarray], threads: int) -> tuple[float, float]:
    """Return wall and CPU seconds to score all sentences once, from ids, with a full queue."""
    scheduler: Scheduler[InferenceTask] = Scheduler(4096)
    batcher = Batcher(
        lambda tasks, chunk_length: (run_batch(engine, tasks, chunk_length), None)[1],
        scheduler,
        make_admission(scheduler, threads=threads, max_queue_tokens=1 << 30),
        threads=threads,
        request_timeout_seconds=600,
    )

    def work(some: list[np.ndarray]) -> None:
        zero = engine.zero_state()
        batcher.submit([InferenceTask(x[:-1], x[1:], zero) for x in some], "bulk").future.result()

    work(ids[: len(ids) // 4])
    wall, cpu = time.perf_counter(), time.process_time()
    work(ids)
    spent = time.perf_counter() - wall, time.process_time() - cpu
    batcher.close()
    return spent


if __name__ == "__main__":
    path, sentences = map(Path, sys.argv[1:])
    print(json.dumps(measure(Bundle.load(path), sentences.read_text().splitlines())))
