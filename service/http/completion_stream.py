"""A completion as server-sent events."""

import asyncio
from collections.abc import AsyncIterator

import orjson

from service.errors import ServiceError
from service.http.accounting import count_tokens
from service.http.completions import Choice, complete_all
from service.http.errors import error_content
from service.http.prompts import Prompt
from service.http.schemas.openai import CompletionRequest
from service.http.telling import Echo, Telling
from service.language_model import LanguageModel

ROUTE = "/v1/completions"


async def events(
    request: CompletionRequest,
    model: LanguageModel,
    prompts: list[Prompt],
    echoes: list[Echo],
    head: bytes,
) -> AsyncIterator[bytes]:
    """What is new of the choices as their tokens come, then `[DONE]`. `head` is what an event says
    before its choices.

    A failure is told by an event with its error, and no `[DONE]` comes. One that is none of ours is
    raised after it, so that the log has it and the connection breaks.
    """
    told: asyncio.Queue[bytes | None] = asyncio.Queue()
    tellings = [
        Telling(request, model, echoes[index // request.n], index)
        for index in range(len(prompts) * request.n)
    ]
    drawn = [0] * len(tellings)

    def tell(index: int, choice: Choice) -> None:
        drawn[index] = len(choice.steps)
        rest = tellings[index].rest(choice)
        if rest is not None:
            told.put_nowait(_event(head[:-1] + b',"choices":[' + rest + b"]}"))

    async def grow() -> None:
        try:
            await complete_all(request, model, prompts, tell)
        finally:
            told.put_nowait(None)

    growing = asyncio.create_task(grow())
    try:
        while (event := await told.get()) is not None:
            yield event
        await growing
        yield _event(b"[DONE]")
    except Exception as error:
        content = error_content(error)
        model.metrics.rejected.labels(content["error"]["code"]).inc()
        yield _event(orjson.dumps(content))
        if not isinstance(error, ServiceError):
            raise
    finally:
        growing.cancel()
        count_tokens(model.metrics, ROUTE, sum(drawn))


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
