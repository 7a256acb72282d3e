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

from service.bulk.formats import Scored
from service.bulk.record import Block
from service.bulk.tally import Tally
from service.language_model import LanguageModel

BLOCKS_ON_THE_WAY = 4


@dataclass(frozen=True, slots=True)
class Done:
    """A block that was scored: what is to be written of it, and what it adds to the tally."""

    block: Block
    payload: Any
    tally: Tally


async def score_blocks(
    model: LanguageModel, blocks: Iterator[Block], render: Callable[[Scored], Any]
) -> AsyncGenerator[Done, None]:
    """`render` makes a payload of the scored records, away from the event loop."""
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
    passages = await model.read.texts([record.text for record in good])
    scores = await model.score(passages)

    def finish() -> Done:
        tally = Tally()
        for record in block.records:
            if record.problem is not None:
                tally.refuse(record)
        for score in scores:
            tally.add(score)
        return Done(block, render(list(zip(good, scores, strict=True))), tally)

    return await model.long_work.run(finish)
