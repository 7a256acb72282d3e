"""Rescoring an n-best list against scoring its texts: `python -m tests.benchmarks.rescoring`.

In process, without HTTP. A 100-best list of 25 tokens each, the first 80 % of them in beginnings
that several share, as a recogniser gives them: each half shares the first 10, each fifth of it the
next 10. The wanted ratio is 0.40 or less.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import numpy as np

from service.bundle import Bundle
from service.language_model import LanguageModel
from service.reader import Passage
from service.settings import STARTER_BUNDLE, Settings

REPEATS = 15
HYPOTHESES, TOKENS, SHARED = 100, 25, 20
FIRST, SECOND = 2, 5


def n_best(model: LanguageModel) -> list[Passage]:
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
        passages.append(Passage("", row, None, None, 0))
    return passages


async def seconds(call: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await call()
    return time.perf_counter() - begun


async def measure(model: LanguageModel) -> tuple[float, float]:
    """Medians of seconds to rescore and to score, taken in turns."""
    passages = n_best(model)
    rescored, scored = [], []
    for _ in range(REPEATS):
        rescored.append(await seconds(lambda: model.rescore(passages)))
        scored.append(await seconds(lambda: model.score(passages)))
    return statistics.median(rescored), statistics.median(scored)


def main() -> None:
    model = LanguageModel(Bundle.load(STARTER_BUNDLE), Settings(bundle=STARTER_BUNDLE))
    rescored, scored = asyncio.run(measure(model))
    model.close()
    print(f"{HYPOTHESES} hypotheses of {TOKENS} tokens, {SHARED / TOKENS:.0%} of them shared")
    print(f"score    {scored * 1e3:8.1f} ms")
    print(f"rescore  {rescored * 1e3:8.1f} ms")
    print(f"ratio    {rescored / scored:8.2f}")


if __name__ == "__main__":
    main()
