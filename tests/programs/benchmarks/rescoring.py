"""Speed of rescoring a list against scoring each of its texts.

    python -m tests.programs.benchmarks.rescoring [BUNDLE]

In process, without HTTP. The list has 100 hypotheses of 25 tokens. As in the lists of recognizers,
they share 80 % of their tokens as prefixes: each half shares the first 10 tokens, each fifth of a
half the next 10. The wanted ratio is 0.40 or less.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np

from service.bundle import Bundle
from service.language_model import LanguageModel
from service.runtime.startup import print_any_text
from service.settings import STARTER_BUNDLE, Settings
from service.text.tokenized_text import TokenizedText

REPEATS = 15
HYPOTHESES, TOKENS, SHARED = 100, 25, 20
FIRST, SECOND = 2, 5


def n_best(model: LanguageModel) -> list[TokenizedText]:
    random = np.random.default_rng(0)

    def ids(*shape: int) -> np.ndarray:
        return random.integers(2, model.tokenizer.vocabulary_size, shape)

    first = ids(FIRST, SHARED // 2)
    second = ids(FIRST * SECOND, SHARED // 2)
    own = ids(HYPOTHESES, TOKENS - SHARED)
    passages = []
    for index in range(HYPOTHESES):
        branch = index * FIRST * SECOND // HYPOTHESES
        row = np.concatenate([first[branch // SECOND], second[branch], own[index]])
        passages.append(TokenizedText("", row, None, None, 0))
    return passages


async def seconds(call: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return wall and processor seconds."""
    clock, processor = time.perf_counter(), time.process_time()
    await call()
    return time.perf_counter() - clock, time.process_time() - processor


async def measure(model: LanguageModel) -> tuple[list[float], list[float]]:
    """Return median wall and processor seconds to rescore and to score, measured in turns."""
    passages = n_best(model)
    rescored, scored = [], []
    for _ in range(REPEATS):
        rescored.append(await seconds(lambda: model.rescore(passages)))
        scored.append(await seconds(lambda: model.score(passages)))
    return _medians(rescored), _medians(scored)


def _medians(rows: list[tuple[float, float]]) -> list[float]:
    return [statistics.median(column) for column in zip(*rows, strict=True)]


def main() -> None:
    print_any_text()
    parser = argparse.ArgumentParser(prog="python -m tests.programs.benchmarks.rescoring")
    parser.add_argument("bundle", type=Path, nargs="?", default=STARTER_BUNDLE)
    bundle = parser.parse_args().bundle
    model = LanguageModel(Bundle.load(bundle), Settings(bundle=bundle))
    rescored, scored = asyncio.run(measure(model))
    model.close()
    print(f"{HYPOTHESES} hypotheses of {TOKENS} tokens, {SHARED / TOKENS:.0%} of them shared")
    print("              clock  processor")
    print("score    " + "".join(f"{s * 1e3:7.1f} ms" for s in scored))
    print("rescore  " + "".join(f"{s * 1e3:7.1f} ms" for s in rescored))
    print("ratio    " + "".join(f"{r / s:10.2f}" for r, s in zip(rescored, scored, strict=True)))


if __name__ == "__main__":
    main()
