"""`POST /score` and `POST /next-token`: from request to use case to JSON, and nothing else."""

from fastapi import APIRouter, Response

from service.distribution import Shape
from service.errors import InputTooLong, InvalidRequest
from service.http.rendering import render_next_tokens, render_scores
from service.http.routes.model import Model
from service.http.schemas.native import (
    NextTokenRequest,
    NextTokenResponse,
    ScoreRequest,
    ScoreResponse,
)

router = APIRouter(tags=["language model"])


@router.post("/score", response_model=ScoreResponse, summary="Cross-entropy and perplexity")
async def score(request: ScoreRequest, model: Model) -> Response:
    if request.count > model.settings.max_texts:
        raise InputTooLong(f"{request.count} texts; at most {model.settings.max_texts} are allowed")
    if request.token_ids is not None:
        passages = model.read_ids(request.token_ids)
    else:
        passages = await model.read(request.texts or [request.text or ""])
    contexts = None
    if request.contexts is not None:
        contexts = await model.read(request.contexts)
    elif request.context is not None:
        contexts = await model.read([request.context]) * len(passages)
    scores = await model.score(
        passages, contexts, bos=request.bos, eos=request.eos, top=request.top
    )
    body = await render_scores(model, scores, request.unit, request.tokens)
    return Response(body, media_type="application/json")


@router.post("/next-token", response_model=NextTokenResponse, summary="Next-word distribution")
async def next_token(request: NextTokenRequest, model: Model) -> Response:
    tokenizer = model.tokenizer
    if request.top_k > tokenizer.vocabulary_size:
        raise InvalidRequest(f"top_k is at most {tokenizer.vocabulary_size}", "top_k")
    candidates = model.candidates(request.candidates)
    shape = Shape(
        top_k=request.top_k,
        temperature=request.temperature,
        excluded=tokenizer.special_ids if request.exclude_special else None,
        allowed=None if request.prefix is None else tokenizer.with_prefix(request.prefix),
        candidates=[candidate.id for candidate in candidates],
    )
    if request.token_ids is not None:
        (context,) = model.read_ids([request.token_ids])
    else:
        (context,) = await model.read([request.context or ""])
    result = await model.next_token(context, request.bos, shape)
    body = render_next_tokens(model, result, candidates, request.prefix is not None)
    return Response(body, media_type="application/json")
