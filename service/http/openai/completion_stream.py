"""A completion as server-sent events."""

import asyncio
from collections.abc import AsyncIterator

import orjson

from service.errors import ServiceError
from service.http.accounting import record_tokens
from service.http.errors import error_content
from service.http.openai.completions import Choice, complete_all
from service.http.openai.prompts import Prompt
from service.http.openai.schemas import CompletionRequest
from service.http.openai.serialize import ChoiceSerializer, Echo, usage_of
from service.language_model import LanguageModel


async def events(
    request: CompletionRequest,
    model: LanguageModel,
    prompts: list[Prompt],
    echoes: list[Echo],
    head: bytes,
) -> AsyncIterator[bytes]:
    """Yield what is new of the choices as their tokens come, then `[DONE]`. `head` is what an event
    holds before its choices. With `stream_options.include_usage` an event without choices holds the
    usage, and all others say that theirs is null, as OpenAI has it.

    A failure is told by an event with its error, and no `[DONE]` comes. One that is none of ours is
    raised after it, so that the log has it and the connection breaks.
    """
    told: asyncio.Queue[bytes | None] = asyncio.Queue()
    tellings = [
        ChoiceSerializer(request, model, echoes[index // request.n], index)
        for index in range(len(prompts) * request.n)
    ]
    drawn = [0] * len(tellings)
    end = b',"usage":null}' if request.tells_usage else b"}"

    def tell(index: int, choice: Choice) -> None:
        drawn[index] = len(choice.steps)
        rest = tellings[index].rest(choice)
        if rest is not None:
            told.put_nowait(_event(head[:-1] + b',"choices":[' + rest + b"]" + end))

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
        if request.tells_usage:
            read = sum(len(prompt.passage.ids) for prompt in prompts)
            usage = orjson.dumps(usage_of(read, sum(drawn)))
            yield _event(head[:-1] + b',"choices":[],"usage":' + usage + b"}")
        yield _event(b"[DONE]")
    except Exception as error:
        content = error_content(error)
        model.count_rejection(content["error"]["code"])
        yield _event(orjson.dumps(content))
        if not isinstance(error, ServiceError):
            raise
    finally:
        growing.cancel()
        record_tokens(sum(drawn))


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
