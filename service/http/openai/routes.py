"""The routes that OpenAI's clients and evaluation tools speak."""

import time
import uuid
from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse

from service.errors import InvalidRequest, ModelNotFound
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
    COMMON_ERRORS,
    INFERENCE_ERRORS,
    MODEL_NOT_FOUND,
    SSE_RESPONSE,
    VALIDATION_ERRORS,
)
from service.http.request_context import Context, Model
from service.http.schema_types import UnicodeStr
from service.language_model import LanguageModel

ALIAS = "tiedlm"

Name = Annotated[UnicodeStr, Path(description="As in the list of models.", examples=["tiedlm"])]

router = APIRouter(tags=["OpenAI-compatible"], responses=COMMON_ERRORS, route_class=FastJsonRoute)


@router.post(
    "/v1/completions",
    response_model=CompletionResponse,
    responses={**INFERENCE_ERRORS, **MODEL_NOT_FOUND, **SSE_RESPONSE},
    summary="Continue or score",
)
async def completions(request: CompletionRequest, request_context: Context) -> Response:
    model = request_context.model
    _check(request, model)
    prompts = await prefill_prompts(request, model)
    read = sum(len(prompt.passage.ids) for prompt in prompts)
    request_context.record_tokens(read)
    echoes = await echoes_of(request, model, prompts)
    head = orjson.dumps(
        {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model.bundle.manifest.name,
        }
    )
    if request.stream:
        told = events(request, request_context, prompts, echoes, head)
        return StreamingResponse(told, media_type="text/event-stream")
    choices = await complete_all(request, model, prompts)
    generated = sum(len(choice.steps) for choice in choices)
    request_context.record_tokens(generated)
    usage = usage_of(read, generated)
    body = await answer_of(request, model, head, echoes, _best(request, choices), usage)
    return Response(body, media_type="application/json")


@router.get("/v1/models", response_model=ModelList, summary="The one model served")
async def models(model: Model) -> ModelList:
    return ModelList(data=[_entry(model, model.bundle.manifest.name)])


@router.get(
    "/v1/models/{name}",
    response_model=ModelEntry,
    responses={**MODEL_NOT_FOUND, **VALIDATION_ERRORS},
    summary="The model by its name",
)
async def model_by_name(name: Name, model: Model) -> ModelEntry:
    _check_name(name, model)
    return _entry(model, name)


@router.post(
    "/tokenize", response_model=TokenizeResponse, responses=INFERENCE_ERRORS, summary="Text to ids"
)
async def tokenize(request: TokenizeRequest, request_context: Context) -> TokenizeResponse:
    model = request_context.model
    (passage,) = await model.encoder.texts([request.prompt], "prompt", "interactive")
    prefix = [model.tokenizer.end_id] if request.add_special_tokens else []
    tokens = prefix + passage.ids.tolist()
    limit = model.settings.max_request_tokens
    return TokenizeResponse(tokens=tokens, count=len(tokens), max_model_len=limit)


@router.post(
    "/detokenize",
    response_model=DetokenizeResponse,
    responses=INFERENCE_ERRORS,
    summary="Ids to text",
)
async def detokenize(request: DetokenizeRequest, request_context: Context) -> DetokenizeResponse:
    model = request_context.model
    return DetokenizeResponse(
        prompt=(await model.encoder.ids(request.tokens, "tokens", "interactive")).text
    )


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
    if name not in (model.bundle.manifest.name, ALIAS):
        raise ModelNotFound(f"the model served is {model.bundle.manifest.name}", "model")


def _entry(model: LanguageModel, name: str) -> ModelEntry:
    return ModelEntry(id=name, created=model.started)
