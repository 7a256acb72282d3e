"""`POST /score` and `POST /next-token`: from request to use case to JSON, and nothing else."""

from fastapi import APIRouter, Response

from service.errors import InvalidRequest
from service.http.fast_route import FastJsonRoute
from service.http.native.next_token import NextTokenRequest, NextTokenResponse
from service.http.native.rescore import RescoreRequest, RescoreResponse
from service.http.native.responses import render_next_tokens, render_rescored, render_scores
from service.http.native.score import ScoreRequest, ScoreResponse
from service.http.openapi import INFERENCE_ERRORS
from service.http.request_context import Context
from service.language_model import LanguageModel
from service.limits import blamed
from service.results.calibration import Calibration
from service.results.distribution import DistributionOptions
from service.results.token_rows import ScoreOptions
from service.text.request_encoder import Candidate, TokenizedText
from service.text.tokenizer import Tokenizer

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
            contexts,
            model.states.open(request.state) if request.state is not None else None,
            bos=request.bos,
            eos=request.eos,
            details=request.details or request.top_g is not None,
            top=request.top,
            targets=request.targets,
            cache=None if request.cache is None else request.cache.settings(),
            return_state=request.return_state,
        )
    request_context.record_tokens(sum(s.totals.tokens for s in scores))
    model.metrics.oov_tokens.inc(sum(s.totals.oov_tokens for s in scores))
    detail = ScoreOptions(request.tokens, request.unit, request.details, request.top_g)
    body = await render_scores(model, scores, detail, calibration)
    return Response(body, media_type=JSON)


@router.post("/next-token", response_model=NextTokenResponse, summary="Next-word distribution")
async def next_token(request: NextTokenRequest, request_context: Context) -> Response:
    model = request_context.model
    candidates = await model.encoder.candidates(request.candidates)
    shape = _shape(request, candidates, model.tokenizer)
    if request.token_ids is not None:
        source = "token_ids"
        context = await model.encoder.ids(request.token_ids, source, "interactive")
    else:
        source = "context"
        (context,) = await model.encoder.texts([request.context or ""], source, "interactive")
    state = model.states.open(request.state) if request.state is not None else None
    with blamed(source):
        result, after = await model.next_token(context, shape, state, bos=request.bos)
    request_context.record_tokens(len(context.ids))
    after_or_none = after if request.return_state else None
    body = await render_next_tokens(model, context, result, candidates, after_or_none)
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
        logprobs = await model.rescore(passages, context)
    request_context.record_tokens(sum(map(len, logprobs)))
    unknown = model.tokenizer.unknown_id
    model.metrics.oov_tokens.inc(sum(int((p.ids == unknown).sum()) for p in passages))
    return Response(render_rescored(model, request, passages, logprobs), media_type=JSON)


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


def _shape(
    request: NextTokenRequest, candidates: list[Candidate], tokenizer: Tokenizer
) -> DistributionOptions:
    if request.top_k > tokenizer.vocabulary_size:
        raise InvalidRequest(f"top_k is at most {tokenizer.vocabulary_size}", "top_k")
    return DistributionOptions(
        top_k=request.top_k,
        temperature=request.temperature,
        excluded=tokenizer.special_ids if request.exclude_special else None,
        allowed=None
        if request.prefix is None
        else tokenizer.vocabulary.with_prefix(request.prefix),
        candidates=[candidate.id for candidate in candidates],
    )
