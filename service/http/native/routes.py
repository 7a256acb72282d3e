"""`POST /score` and `POST /next-token`: from request to use case to JSON, and nothing else."""

from fastapi import APIRouter, Response

from service.errors import InvalidRequest
from service.http.fast_route import FastJsonRoute
from service.http.native.next_token import NextTokenRequest, NextTokenResponse
from service.http.native.rescore import RescoreRequest, RescoreResponse
from service.http.native.responses import render_next_tokens, render_rescored, render_scores
from service.http.native.score_request import ScoreRequest
from service.http.native.score_response import ScoreResponse
from service.http.openapi import INFERENCE_ERRORS
from service.http.request_context import Context
from service.language_model import LanguageModel
from service.limits import blamed
from service.results.calibration import Calibration
from service.results.options import NextTokenOptions, ScoreOptions
from service.results.token_rows import RowOptions
from service.text.request_encoder import TokenizedText

JSON = "application/json"

router = APIRouter(tags=["language model"], responses=INFERENCE_ERRORS, route_class=FastJsonRoute)


@router.post("/score", response_model=ScoreResponse, summary="Cross-entropy and perplexity")
async def score(request: ScoreRequest, request_context: Context) -> Response:
    model = request_context.model
    calibration = _calibration(request, model)
    passages, contexts = await _passages(request, model), await _contexts(request, model)
    with blamed(_longest(request, passages, contexts)):
        scores = await model.score(
            passages,
            _score_options(request),
            contexts=contexts,
            state=None if request.state is None else model.open_state(request.state),
        )
    request_context.record_tokens(sum(score.totals.tokens for score in scores))
    options = RowOptions(request.tokens, request.unit, request.details, request.top_g)
    body = await render_scores(model, scores, options, calibration)
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
        candidates=await model.encoder.candidates(request.candidates),
    )
    if request.token_ids is not None:
        source = "token_ids"
        context = await model.encoder.ids(request.token_ids, source, "interactive")
    else:
        source = "context"
        (context,) = await model.encoder.texts([request.context or ""], source, "interactive")
    state = None if request.state is None else model.open_state(request.state)
    with blamed(source):
        result = await model.next_token(context, options, state)
    request_context.record_tokens(len(context.ids))
    body = await render_next_tokens(model, result, return_state=request.return_state)
    return Response(body, media_type=JSON)


@router.post("/rescore", response_model=RescoreResponse, summary="Order an n-best list")
async def rescore(request: RescoreRequest, request_context: Context) -> Response:
    model = request_context.model
    texts = [hypothesis.text for hypothesis in request.hypotheses]
    passages = await model.encoder.texts(texts, "hypotheses")
    context = None
    if request.context is not None:
        (context,) = await model.encoder.texts([request.context], "context")
    before = 0 if context is None else len(context.ids)
    after = sum(len(passage.ids) for passage in passages)
    with blamed("context" if before > after else "hypotheses"):
        scores = await model.rescore(passages, context)
    request_context.record_tokens(sum(score.token_count for score in scores))
    return Response(render_rescored(request, scores), media_type=JSON)


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
    """Raises InvalidRequest for a name that is none, and for figures that no table describes."""
    name = request.calibration
    if name is None:
        return None
    if name not in model.calibrations:
        known = ", ".join(model.calibrations) or "none"
        raise InvalidRequest(f"no such calibration; the server knows {known}", "calibration")
    others = (request.context, request.contexts, request.state, request.cache)
    if not (request.bos and request.eos) or any(other is not None for other in others):
        raise InvalidRequest(
            "a calibration is of whole texts from bos to eos: with it there is no bos or eos "
            "false, no context, contexts, state or cache",
            "calibration",
        )
    return model.calibrations[name]


async def _passages(request: ScoreRequest, model: LanguageModel) -> list[TokenizedText]:
    if request.token_ids is not None:
        return await model.encoder.id_lists(request.token_ids, "token_ids")
    return await model.encoder.texts(request.texts or [request.text or ""], _source(request))


async def _contexts(request: ScoreRequest, model: LanguageModel) -> list[TokenizedText] | None:
    if request.context is not None:
        return await model.encoder.texts([request.context], "context") * request.count
    if request.contexts is None:
        return None
    distinct = list(dict.fromkeys(request.contexts))
    read = dict(zip(distinct, await model.encoder.texts(distinct, "contexts"), strict=True))
    return [read[context] for context in request.contexts]


def _source(request: ScoreRequest) -> str:
    """Return the field that holds what is scored."""
    if request.token_ids is not None:
        return "token_ids"
    return "text" if request.texts is None else "texts"


def _longest(
    request: ScoreRequest, passages: list[TokenizedText], contexts: list[TokenizedText] | None
) -> str:
    """Return the field that holds most of the request's tokens; a context counts once."""
    scored = sum(len(passage.ids) for passage in passages)
    distinct = {id(context): len(context.ids) for context in contexts or []}
    if sum(distinct.values()) <= scored:
        return _source(request)
    return "contexts" if request.context is None else "context"
