"""The routes that OpenAI's clients and evaluation tools speak."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse

from service.errors import ModelNotFound
from service.http.fast_route import FastJsonRoute
from service.http.openai.completion import Completion
from service.http.openai.request_schemas import (
    CompletionRequest,
    DetokenizeRequest,
    TokenizeRequest,
)
from service.http.openai.response_schemas import (
    CompletionResponse,
    DetokenizeResponse,
    ModelEntry,
    ModelList,
    TokenizeResponse,
    TokenizerInfo,
)
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
    _check_name(request.model, request_context.model)
    completion = Completion(request, request_context)
    await completion.prepare()
    if request.stream:
        return StreamingResponse(completion.stream(), media_type="text/event-stream")
    return Response(await completion.serialize(), media_type="application/json")


@router.get("/v1/models", response_model=ModelList, summary="The one model served")
async def models(model: Model) -> ModelList:
    return ModelList(data=[_entry(model, model.info.name)])


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
    (passage,) = await model.encoder.encode_texts([request.prompt], "prompt", "interactive")
    prefix = [model.info.end_id] if request.add_special_tokens else []
    tokens = prefix + passage.ids.tolist()
    limit = model.limits.max_request_tokens
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
        prompt=(await model.encoder.decode_ids(request.tokens, "tokens", "interactive")).text
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


def _check_name(name: str, model: LanguageModel) -> None:
    if name not in (model.info.name, ALIAS):
        raise ModelNotFound(f"the model served is {model.info.name}", "model")


def _entry(model: LanguageModel, name: str) -> ModelEntry:
    return ModelEntry(id=name, created=model.info.started_at)
