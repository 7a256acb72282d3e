"""The model of a job, and the scoring of blocks: several at a time, returned in order.

Two or more blocks wait in the batcher while one is written, so that no worker is ever idle and
texts of similar length share a batch. The number of blocks bounds the memory.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.bulk.document import Block
from service.bulk.output.rows import ScoredDocuments
from service.bulk.statistics import Statistics
from service.bundle import Bundle
from service.language_model import LanguageModel
from service.results.text_score import TextScore
from service.settings import Settings

MAX_BLOCKS_IN_FLIGHT = 4
# A block is tokenized in slices, so that the workers can start with the first slice while the next
# ones are tokenized.
SLICE_DOCUMENTS = 256


@dataclass(frozen=True, slots=True)
class ScoredBlock:
    """A scored block: its payload for the output, and its statistics."""

    block: Block
    payload: Any
    statistics: Statistics


def load_model(bundle: Path | None, threads: int | None) -> LanguageModel:
    """Return a language model without the limits that protect a server. Raises StartError.

    If an argument is None, the environment decides, as it does for the service.
    """
    settings = Settings.unlimited(bundle, threads)
    return LanguageModel(Bundle.load(settings.bundle), settings)


async def score_blocks(
    model: LanguageModel, blocks: Iterator[Block], render: Callable[[ScoredDocuments], Any]
) -> AsyncGenerator[ScoredBlock, None]:
    """Yield the scored blocks in order. `render` makes the payload of a block, in a thread."""
    tasks: deque[asyncio.Task[ScoredBlock]] = deque()
    try:
        for block in blocks:
            tasks.append(asyncio.create_task(_score(model, block, render)))
            await asyncio.sleep(0)
            if len(tasks) == MAX_BLOCKS_IN_FLIGHT:
                yield await tasks.popleft()
        while tasks:
            yield await tasks.popleft()
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _score(
    model: LanguageModel, block: Block, render: Callable[[ScoredDocuments], Any]
) -> ScoredBlock:
    texts = [document.text for document in block.documents if document.problem is None]
    scores = await _score_texts(model, texts)

    def finish() -> ScoredBlock:
        statistics = Statistics()
        for document in block.problems:
            statistics.count_problem(document)
        for score in scores:
            statistics.add(score)
        remaining = iter(scores)
        scored = [(d, next(remaining) if d.problem is None else None) for d in block.documents]
        return ScoredBlock(block, render(scored), statistics)

    return await model.run_in_background(finish)


async def _score_texts(model: LanguageModel, texts: list[str]) -> list[TextScore]:
    slices: list[asyncio.Task[list[TextScore]]] = []
    try:
        for start in range(0, len(texts), SLICE_DOCUMENTS):
            tokenized = await model.encoder.encode_texts(texts[start : start + SLICE_DOCUMENTS])
            slices.append(asyncio.create_task(model.score(tokenized)))
        return [score for scores in await asyncio.gather(*slices) for score in scores]
    finally:
        for task in slices:
            task.cancel()  # has an effect if another slice failed, or the job was stopped
