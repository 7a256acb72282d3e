"""The response bodies of the native routes as JSON.

A long body is serialised in blocks in the background thread, because it would block the event loop.
"""

from typing import Any

import orjson

from service.http.json_blocks import BLOCK_TOKENS, to_array
from service.http.native.rescore_schemas import RescoreRequest
from service.language_model import LanguageModel
from service.results.calibration import Calibration
from service.results.next_token import NextTokenResult
from service.results.text_score import HypothesisScore, TextScore
from service.results.token_rows import RowOptions
from service.runtime.background_thread import SECONDS_PER_TOKEN
from service.scoring import Totals

STATE_TOKENS = 10  # a state handle takes as long to serialise as this many tokens


async def score_body(
    model: LanguageModel,
    scores: list[TextScore],
    options: RowOptions,
    calibration: Calibration | None = None,
) -> bytes:
    """Return the body of a `/score` response."""

    def serialize() -> bytes:
        results = [_text_result(model, score, options, calibration) for score in scores]
        total = scores[0].totals if len(scores) == 1 else _sum(scores)
        body = {
            **_header(model),
            "unit": options.unit,
            "results": results,
            "summary": total.figures(options.unit),
        }
        return orjson.dumps(body)

    tokens = sum(len(score.ids) for score in scores) if options.tokens else len(scores)
    tokens += STATE_TOKENS * sum(score.state is not None for score in scores)
    if tokens <= BLOCK_TOKENS:
        return serialize()
    return await model.run_in_background(serialize, tokens * SECONDS_PER_TOKEN)


def _text_result(
    model: LanguageModel, score: TextScore, options: RowOptions, calibration: Calibration | None
) -> dict[str, Any] | orjson.Fragment:
    result: dict[str, Any] = {}
    if options.tokens:
        result["tokens"] = to_array(model.rows.tokens(score, options, BLOCK_TOKENS))
        if model.info.subword and score.starts is not None:
            result["words"] = to_array(model.rows.words(score, options.unit, BLOCK_TOKENS))
    result |= score.totals.figures(options.unit)
    if calibration is not None:
        result["percentile"] = calibration.percentile(score.totals.mean_nats)
    if score.state is not None:
        result["state"] = model.seal_state(score.state)
    return orjson.Fragment(orjson.dumps(result))


def _sum(scores: list[TextScore]) -> Totals:
    total = Totals()
    for score in scores:
        total.add(score.totals)
    return total


async def next_token_body(
    model: LanguageModel, result: NextTokenResult, *, return_state: bool
) -> bytes:
    """Return the body of a `/next-token` response; `return_state` adds the handle of the state."""

    def serialize() -> bytes:
        distribution = result.distribution
        tokens, candidates = model.rows.next_tokens(result)
        body = {
            **_header(model),
            "tokens": tokens,
            "candidates": candidates,
            "entropy": distribution.entropy,
            "remaining_probability": distribution.remaining_probability,
        }
        if distribution.allowed_probability is not None:
            body["prefix_probability"] = distribution.allowed_probability
        if return_state:
            body["state"] = model.seal_state(result.state)
        return orjson.dumps(body)

    count = len(result.distribution.ids)
    if count <= BLOCK_TOKENS:
        return serialize()
    return await model.run_in_background(serialize, count * SECONDS_PER_TOKEN)


def rescore_body(request: RescoreRequest, scores: list[HypothesisScore]) -> bytes:
    """Return the body of a `/rescore` response: the best total first, equal totals in the order of
    the request.
    """
    results = []
    for index, (hypothesis, score) in enumerate(zip(request.hypotheses, scores, strict=True)):
        logprob = float(score.logprobs.sum())
        bonus = request.length_bonus * score.token_count
        result: dict[str, Any] = {"index": index}
        if hypothesis.id is not None:
            result["id"] = hypothesis.id
        result |= {
            "text": hypothesis.text,
            "logprob": logprob,
            "total": hypothesis.score + request.lm_weight * logprob + bonus,
            "token_count": score.token_count,
            "oov_count": score.oov_count,
        }
        results.append(result)
    results.sort(key=lambda result: -result["total"])
    return orjson.dumps({"results": results})


def _header(model: LanguageModel) -> dict[str, Any]:
    return {"model": model.info.name, "vocabulary_size": model.info.vocabulary_size}
