"""The native routes: `POST /score`, `POST /next-token` and `POST /rescore`.

A route turns its request into a call of one use case, and the result into JSON.
"""

from fastapi import APIRouter, Response

from service.errors import InvalidRequest
from service.http.fast_route import FastJsonRoute
from service.http.native.next_token_schemas import NextTokenRequest, NextTokenResponse
from service.http.native.rescore_schemas import RescoreRequest, RescoreResponse
from service.http.native.score_request_schemas import ScoreRequest
from service.http.native.score_response_schemas import ScoreResponse
from service.http.native.serialize import next_token_body, rescore_body, score_body
from service.http.openapi import INFERENCE_ERRORS
from service.http.request_context import Context
from service.language_model import LanguageModel
from service.limits import name_field
from service.results.calibration import Calibration
from service.results.options import NextTokenOptions, ScoreOptions
from service.results.token_rows import RowOptions
from service.text.tokenized_text import TokenizedText

JSON = "application/json"

router = APIRouter(tags=["language model"], responses=INFERENCE_ERRORS, route_class=FastJsonRoute)


@router.post("/score", response_model=ScoreResponse, summary="Cross-entropy and perplexity")
async def score(request: ScoreRequest, request_context: Context) -> Response:
    model = request_context.model
    calibration = _calibration(request, model)
    texts = await _tokenize_texts(request, model)
    contexts = await _tokenize_contexts(request, model)
    with name_field(_longest_field(request, texts, contexts)):
        scores = await model.score(
            texts,
            _score_options(request),
            contexts=contexts,
            state=None if request.state is None else model.open_state(request.state),
        )
    request_context.record_tokens(sum(score.totals.tokens for score in scores))
    options = RowOptions(request.tokens, request.unit, request.details, request.top_g)
    body = await score_body(model, scores, options, calibration)
    return Response(body, media_type=JSON)


@router.post("/next-token", response_model=NextTokenResponse, summary="Next-word distribution")
async def next_token(request: NextTokenRequest, request_context: Context) -> Response:
    model = request_context.model
    options = NextTokenOptions(
        top_k=request.top_k,
        bos=request.bos,
        temperature=request.temperature,
        exclude_special=request.exclude_special,
        prefix=request.prefix,
        candidates=await model.encoder.find_candidates(request.candidates),
    )
    if request.token_ids is not None:
        field = "token_ids"
        context = await model.encoder.decode_ids(request.token_ids, field, "interactive")
    else:
        field = "context"
        (context,) = await model.encoder.encode_texts([request.context or ""], field, "interactive")
    state = None if request.state is None else model.open_state(request.state)
    with name_field(field):
        result = await model.next_token(context, options, state)
    request_context.record_tokens(len(context.ids))
    body = await next_token_body(model, result, return_state=request.return_state)
    return Response(body, media_type=JSON)


@router.post("/rescore", response_model=RescoreResponse, summary="Order an n-best list")
async def rescore(request: RescoreRequest, request_context: Context) -> Response:
    model = request_context.model
    texts = [hypothesis.text for hypothesis in request.hypotheses]
    hypotheses = await model.encoder.encode_texts(texts, "hypotheses")
    context = None
    if request.context is not None:
        (context,) = await model.encoder.encode_texts([request.context], "context")
    context_tokens = 0 if context is None else len(context.ids)
    tokens = sum(len(hypothesis.ids) for hypothesis in hypotheses)
    with name_field("context" if context_tokens > tokens else "hypotheses"):
        scores = await model.rescore(hypotheses, context)
    request_context.record_tokens(sum(score.token_count for score in scores))
    return Response(rescore_body(request, scores), media_type=JSON)


def _score_options(request: ScoreRequest) -> ScoreOptions:
    return ScoreOptions(
        bos=request.bos,
        eos=request.eos,
        details=request.details or request.top_g is not None,
        top=request.top,
        targets=request.targets,
        cache=None if request.cache is None else request.cache.settings(),
        return_state=request.return_state,
    )


def _calibration(request: ScoreRequest, model: LanguageModel) -> Calibration | None:
    """Return the calibration that the request names.

    Raises InvalidRequest for an unknown name, and for a request that does not score whole texts,
    because the percentiles are those of whole texts.
    """
    name = request.calibration
    if name is None:
        return None
    if name not in model.calibrations:
        names = ", ".join(model.calibrations) or "none"
        raise InvalidRequest(f"calibration not found; the server has these: {names}", "calibration")
    conflicts = (request.context, request.contexts, request.state, request.cache)
    if not (request.bos and request.eos) or any(field is not None for field in conflicts):
        raise InvalidRequest(
            "calibration needs whole texts; remove bos=false, eos=false, context, contexts, state "
            "and cache",
            "calibration",
        )
    return model.calibrations[name]


async def _tokenize_texts(request: ScoreRequest, model: LanguageModel) -> list[TokenizedText]:
    if request.token_ids is not None:
        return await model.encoder.decode_id_lists(request.token_ids, "token_ids")
    return await model.encoder.encode_texts(request.texts or [request.text or ""], request.source)


async def _tokenize_contexts(
    request: ScoreRequest, model: LanguageModel
) -> list[TokenizedText] | None:
    """Return the context of each text. Equal contexts are one object."""
    if request.context is not None:
        return await model.encoder.encode_texts([request.context], "context") * request.count
    if request.contexts is None:
        return None
    distinct = list(dict.fromkeys(request.contexts))
    tokenized = await model.encoder.encode_texts(distinct, "contexts")
    by_text = dict(zip(distinct, tokenized, strict=True))
    return [by_text[context] for context in request.contexts]


def _longest_field(
    request: ScoreRequest, texts: list[TokenizedText], contexts: list[TokenizedText] | None
) -> str:
    """Return the field that holds most of the request's tokens. Equal contexts count once."""
    scored = sum(len(text.ids) for text in texts)
    distinct = {id(context): len(context.ids) for context in contexts or []}
    if sum(distinct.values()) <= scored:
        return request.source
    return "contexts" if request.context is None else "context"
