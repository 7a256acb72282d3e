"""The routes that OpenAI's clients and evaluation tools speak."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import StreamingResponse

from service.errors import InputTooLong, InvalidRequest, ModelNotFound, ServiceError
from service.http.accounting import count_tokens
from service.http.completions import (
    Choice,
    complete,
    logprobs_of,
    prompt_logprobs_of,
)
from service.http.documentation import (
    ANY,
    EVENTS,
    INFERENCE,
    INVALID,
    MODEL_NOT_FOUND,
    TOKENIZING,
)
from service.http.errors import error_content
from service.http.prompts import Prompt, read_prompts, score_prompts
from service.http.routes.direct import require_json
from service.http.routes.model import Model
from service.http.schemas.openai import (
    CompletionRequest,
    CompletionResponse,
    DetokenizeRequest,
    DetokenizeResponse,
    ModelEntry,
    ModelList,
    TokenizeRequest,
    TokenizeResponse,
    TokenizerInfo,
)
from service.http.schemas.text import Text
from service.language_model import LanguageModel

ALIAS = "tiedlm"

Name = Annotated[Text, Path(description="As in the list of models.", examples=["tiedlm"])]

router = APIRouter(tags=["OpenAI-compatible"], responses=ANY, dependencies=[Depends(require_json)])


@router.post(
    "/v1/completions",
    response_model=CompletionResponse,
    responses={**INFERENCE, **MODEL_NOT_FOUND, **EVENTS},
    summary="Continue or score",
)
async def completions(request: CompletionRequest, model: Model) -> Response:
    _check(request, model)
    model.check_room("interactive")
    prompts = await read_prompts(request, model)
    _check_size(request, model, prompts)
    await score_prompts(request, model, prompts)
    head = {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model.bundle.manifest.name,
    }
    if request.stream:
        return StreamingResponse(_events(request, model, prompts, head), 200, None, EVENT_STREAM)
    answer = await _answer(request, model, prompts)
    return Response(orjson.dumps({**head, **answer}), media_type="application/json")


EVENT_STREAM = "text/event-stream"


@router.get("/v1/models", response_model=ModelList, summary="The one model served")
async def models(model: Model) -> ModelList:
    return ModelList(data=[_entry(model, model.bundle.manifest.name)])


@router.get(
    "/v1/models/{name}",
    response_model=ModelEntry,
    responses={**MODEL_NOT_FOUND, **INVALID},
    summary="The model by its name",
)
async def model_by_name(name: Name, model: Model) -> ModelEntry:
    _check_name(name, model)
    return _entry(model, name)


@router.post(
    "/tokenize", response_model=TokenizeResponse, responses=TOKENIZING, summary="Text to ids"
)
async def tokenize(request: TokenizeRequest, model: Model) -> TokenizeResponse:
    (passage,) = await model.read.texts([request.prompt])
    prefix = [model.tokenizer.end_id] if request.add_special_tokens else []
    tokens = prefix + passage.ids.tolist()
    limit = model.settings.max_request_tokens
    return TokenizeResponse(tokens=tokens, count=len(tokens), max_model_len=limit)


@router.post(
    "/detokenize", response_model=DetokenizeResponse, responses=TOKENIZING, summary="Ids to text"
)
async def detokenize(request: DetokenizeRequest, model: Model) -> DetokenizeResponse:
    return DetokenizeResponse(prompt=(await model.read.ids(request.tokens, "tokens")).text)


@router.get("/tokenizer_info", response_model=TokenizerInfo, summary="The special tokens")
async def tokenizer_info(model: Model) -> TokenizerInfo:
    tokenizer = model.tokenizer
    end, unknown = tokenizer.entries[tokenizer.end_id], tokenizer.unknown_id
    return TokenizerInfo(
        eos_token=end,
        bos_token=end,
        unk_token=None if unknown is None else tokenizer.entries[unknown],
        tokenizer_class="tiedlm",
        vocabulary_size=tokenizer.vocabulary_size,
    )


def _check(request: CompletionRequest, model: LanguageModel) -> None:
    _check_name(request.model, model)
    best_of = request.best_of or request.n
    if best_of < request.n:
        raise InvalidRequest(f"best_of must be at least n, which is {request.n}", "best_of")
    if request.stream and best_of > request.n:
        raise InvalidRequest("best_of greater than n cannot be streamed", "best_of")
    if request.max_tokens == 0 and not request.echo:
        raise InvalidRequest("max_tokens must be at least 1 without echo", "max_tokens")


def _check_size(request: CompletionRequest, model: LanguageModel, prompts: list[Prompt]) -> None:
    generated = len(prompts) * (request.best_of or request.n) * request.max_tokens
    if generated > model.settings.max_request_tokens:
        raise InputTooLong(
            f"{generated} tokens to generate over all choices; "
            f"at most {model.settings.max_request_tokens} are allowed",
            "max_tokens",
        )


def _check_name(name: str, model: LanguageModel) -> None:
    if name not in (model.bundle.manifest.name, ALIAS):
        raise ModelNotFound(f"the model served is {model.bundle.manifest.name}", "model")


def _entry(model: LanguageModel, name: str) -> ModelEntry:
    return ModelEntry(id=name, created=model.started)


async def _answer(
    request: CompletionRequest, model: LanguageModel, prompts: list[Prompt]
) -> dict[str, Any]:
    best_of = request.best_of or request.n
    made = await asyncio.gather(
        *(
            _last(complete(request, model, prompt, index))
            for prompt in prompts
            for index in range(best_of)
        )
    )
    choices = []
    for at, prompt in enumerate(prompts):
        own = made[at * best_of : (at + 1) * best_of]
        if best_of > request.n:
            own = sorted(own, key=lambda choice: -choice.mean_logprob)[: request.n]
        choices += [(prompt, choice) for choice in own]
    read = sum(len(prompt.passage.ids) for prompt in prompts)
    generated = sum(len(choice.steps) for choice in made)
    count_tokens(model.metrics, "/v1/completions", read + generated)
    return {
        "choices": [
            _choice(request, model, prompt, choice, index)
            for index, (prompt, choice) in enumerate(choices)
        ],
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": generated,
            "total_tokens": read + generated,
        },
    }


def _choice(
    request: CompletionRequest, model: LanguageModel, prompt: Prompt, choice: Choice, index: int
) -> dict[str, Any]:
    echoed = prompt.passage.text if request.echo else ""
    answer: dict[str, Any] = {
        "index": index,
        "text": echoed + choice.text,
        "finish_reason": choice.finish_reason,
        "logprobs": None,
    }
    if request.logprobs is not None:
        answer["logprobs"] = logprobs_of(request, model, prompt, choice)
    if request.prompt_logprobs is not None and prompt.score is not None:
        answer["prompt_logprobs"] = prompt_logprobs_of(request.prompt_logprobs, model, prompt.score)
    return answer


async def _events(
    request: CompletionRequest, model: LanguageModel, prompts: list[Prompt], head: dict[str, Any]
) -> AsyncIterator[bytes]:
    """Server-sent events of all choices as their tokens come, then `[DONE]`."""
    events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def grow(prompt: Prompt, index: int) -> None:
        sent = _Sent()
        async for choice in complete(request, model, prompt, index % request.n):
            event = _delta(request, model, prompt, choice, index, sent)
            if event is not None:
                events.put_nowait(event)

    async def grow_all() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for index in range(len(prompts) * request.n):
                    group.create_task(grow(prompts[index // request.n], index))
        except* ServiceError as errors:
            error = errors.exceptions[0]
            assert isinstance(error, ServiceError)
            events.put_nowait(error_content(error))
        finally:
            events.put_nowait(None)

    growing = asyncio.create_task(grow_all())
    try:
        while (event := await events.get()) is not None:
            body = event if "error" in event else {**head, "choices": [event]}
            yield b"data: " + orjson.dumps(body) + b"\n\n"
        yield b"data: [DONE]\n\n"
    finally:
        growing.cancel()


class _Sent:
    """How much of a choice a stream has sent: characters of its text, and tokens."""

    characters = 0
    tokens = 0
    begun = False


def _delta(
    request: CompletionRequest,
    model: LanguageModel,
    prompt: Prompt,
    choice: Choice,
    index: int,
    sent: _Sent,
) -> dict[str, Any] | None:
    """What is new of a choice since the last event; None if nothing can be said yet."""
    text = choice.text[sent.characters : choice.released]
    if not text and choice.finish_reason is None:
        return None
    echoed = prompt.passage.text if request.echo and not sent.begun else ""
    event = {
        "index": index,
        "text": echoed + text,
        "finish_reason": choice.finish_reason,
        "logprobs": None,
    }
    if request.logprobs is not None:
        arrays = logprobs_of(request, model, prompt, choice, sent.tokens)
        event["logprobs"] = arrays
        sent.tokens += len(arrays["tokens"])
    sent.begun = True
    sent.characters = max(sent.characters, choice.released)
    return event


async def _last(choices: AsyncIterator[Choice]) -> Choice:
    async for choice in choices:
        last = choice
    return last
