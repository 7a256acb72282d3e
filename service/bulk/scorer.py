"""Blocks of records → scores, several blocks on their way at a time, answered in order.

Two or more blocks wait in the batcher while one is written, so that no worker is ever idle and
sequences of like length find each other; how many is what bounds memory.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from service.bulk.document import Block
from service.bulk.output.formats import Scored
from service.bulk.statistics import Statistics
from service.language_model import LanguageModel
from service.results.text_score import TextScore

BLOCKS_ON_THE_WAY = 4
# A block is tokenized and scored in slices, so that the workers begin with the first one while the
# others are tokenized.
SLICE_RECORDS = 256


@dataclass(frozen=True, slots=True)
class Done:
    """A scored block: its payload, and what it adds to the tally."""

    block: Block
    payload: Any
    tally: Statistics


async def score_blocks(
    model: LanguageModel, blocks: Iterator[Block], render: Callable[[Scored], Any]
) -> AsyncGenerator[Done, None]:
    """`render` makes a payload of the records and their scores, away from the event loop."""
    waiting: deque[asyncio.Task[Done]] = deque()
    try:
        for block in blocks:
            waiting.append(asyncio.create_task(_score(model, block, render)))
            await asyncio.sleep(0)
            if len(waiting) == BLOCKS_ON_THE_WAY:
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        for task in waiting:
            with suppress(asyncio.CancelledError):
                await task


async def _score(model: LanguageModel, block: Block, render: Callable[[Scored], Any]) -> Done:
    good = [record for record in block.records if record.problem is None]
    scores = await _score_texts(model, [record.text for record in good])

    def finish() -> Done:
        tally = Statistics()
        for record in block.records:
            if record.problem is not None:
                tally.refuse(record)
        for score in scores:
            tally.add(score)
        left = iter(scores)
        pairs = [(r, next(left) if r.problem is None else None) for r in block.records]
        return Done(block, render(pairs), tally)

    return await model.run_in_background(finish)


async def _score_texts(model: LanguageModel, texts: list[str]) -> list[TextScore]:
    slices: list[asyncio.Task[list[TextScore]]] = []
    try:
        for start in range(0, len(texts), SLICE_RECORDS):
            passages = await model.encoder.encode_texts(texts[start : start + SLICE_RECORDS])
            slices.append(asyncio.create_task(model.score(passages)))
        return [score for scores in await asyncio.gather(*slices) for score in scores]
    finally:
        for task in slices:
            task.cancel()  # where another one failed, or all of it is no longer wanted
