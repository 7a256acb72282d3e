"""The routes that OpenAI's clients and evaluation tools speak."""

import time
import uuid
from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse

from service.errors import InvalidRequest, ModelNotFound
from service.http.accounting import record_tokens
from service.http.current_model import Model
from service.http.fast_route import FastJsonRoute
from service.http.openai.completion_stream import events
from service.http.openai.completions import Choice, complete_all
from service.http.openai.prompts import prefill_prompts
from service.http.openai.schemas import (
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
from service.http.openai.serialize import answer_of, echoes_of, usage_of
from service.http.openapi import (
    ANY,
    EVENTS,
    INFERENCE,
    INVALID,
    MODEL_NOT_FOUND,
)
from service.http.schemas.text import Text
from service.language_model import LanguageModel

ALIAS = "tiedlm"

Name = Annotated[Text, Path(description="As in the list of models.", examples=["tiedlm"])]

router = APIRouter(tags=["OpenAI-compatible"], responses=ANY, route_class=FastJsonRoute)


@router.post(
    "/v1/completions",
    response_model=CompletionResponse,
    responses={**INFERENCE, **MODEL_NOT_FOUND, **EVENTS},
    summary="Continue or score",
)
async def completions(request: CompletionRequest, model: Model) -> Response:
    _check(request, model)
    prompts = await prefill_prompts(request, model)
    read = sum(len(prompt.passage.ids) for prompt in prompts)
    record_tokens(read)
    echoes = await echoes_of(request, model, prompts)
    head = orjson.dumps(
        {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model.info.name,
        }
    )
    if request.stream:
        told = events(request, model, prompts, echoes, head)
        return StreamingResponse(told, media_type="text/event-stream")
    choices = await complete_all(request, model, prompts)
    generated = sum(len(choice.steps) for choice in choices)
    record_tokens(generated)
    usage = usage_of(read, generated)
    body = await answer_of(request, model, head, echoes, _best(request, choices), usage)
    return Response(body, media_type="application/json")


@router.get("/v1/models", response_model=ModelList, summary="The one model served")
async def models(model: Model) -> ModelList:
    return ModelList(data=[_entry(model, model.info.name)])


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
    "/tokenize", response_model=TokenizeResponse, responses=INFERENCE, summary="Text to ids"
)
async def tokenize(request: TokenizeRequest, model: Model) -> TokenizeResponse:
    (passage,) = await model.encoder.texts([request.prompt], "prompt", "interactive")
    prefix = [model.info.end_id] if request.add_special_tokens else []
    tokens = prefix + passage.ids.tolist()
    limit = model.limits.max_request_tokens
    return TokenizeResponse(tokens=tokens, count=len(tokens), max_model_len=limit)


@router.post(
    "/detokenize", response_model=DetokenizeResponse, responses=INFERENCE, summary="Ids to text"
)
async def detokenize(request: DetokenizeRequest, model: Model) -> DetokenizeResponse:
    return DetokenizeResponse(
        prompt=(await model.encoder.ids(request.tokens, "tokens", "interactive")).text
    )


@router.get("/tokenizer_info", response_model=TokenizerInfo, summary="The special tokens")
async def tokenizer_info(model: Model) -> TokenizerInfo:
    info = model.info
    return TokenizerInfo(
        eos_token=info.end_token,
        bos_token=info.end_token,
        unk_token=info.unknown_token,
        tokenizer_class="tiedlm",
        vocabulary_size=info.vocabulary_size,
    )


def _check(request: CompletionRequest, model: LanguageModel) -> None:
    _check_name(request.model, model)
    if request.choices < request.n:
        raise InvalidRequest(f"best_of must be at least n, which is {request.n}", "best_of")
    if request.stream_options is not None and not request.stream:
        raise InvalidRequest("stream_options is for stream true only", "stream_options")
    if request.stream and request.choices > request.n:
        raise InvalidRequest("best_of greater than n cannot be streamed", "best_of")
    if request.max_tokens == 0 and not request.echo:
        raise InvalidRequest("max_tokens must be at least 1 without echo", "max_tokens")


def _best(request: CompletionRequest, choices: list[Choice]) -> list[Choice]:
    """The `n` of each prompt's choices that are most probable token by token, if there are more."""
    if request.choices == request.n:
        return choices
    best: list[Choice] = []
    for first in range(0, len(choices), request.choices):
        own = choices[first : first + request.choices]
        best += sorted(own, key=lambda choice: -choice.mean_logprob)[: request.n]
    return best


def _check_name(name: str, model: LanguageModel) -> None:
    if name not in (model.info.name, ALIAS):
        raise ModelNotFound(f"the model served is {model.info.name}", "model")


def _entry(model: LanguageModel, name: str) -> ModelEntry:
    return ModelEntry(id=name, created=model.info.started_at)
