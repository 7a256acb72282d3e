"""Results as JSON bytes, built and serialised once, never holding the event loop for long.

orjson writes NaN and infinity as null, and floats so that reading them gives the same double.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from service.http.native.rescore import RescoreRequest
from service.language_model import LanguageModel
from service.results.calibration import Calibration
from service.results.next_token import NextTokenResult
from service.results.text_score import HypothesisScore, TextScore
from service.results.token_rows import RowOptions
from service.runtime.background_thread import SECONDS_PER_TOKEN
from service.scoring import Totals

# Tokens serialised at a stretch, about 3 ms, and the most that is worth doing without a thread.
BLOCK_TOKENS = 2000
STATE_TOKENS = 10  # a handle takes as long to write as so many


async def render_scores(
    model: LanguageModel,
    scores: list[TextScore],
    options: RowOptions,
    calibration: Calibration | None = None,
) -> bytes:
    """The body of a `/score` response; logprobs are always natural."""

    def render() -> bytes:
        return b"".join(_scores(model, scores, options, calibration))

    tokens = sum(len(score.ids) for score in scores) if options.tokens else len(scores)
    tokens += STATE_TOKENS * sum(score.state is not None for score in scores)
    if tokens <= BLOCK_TOKENS:
        return render()
    return await model.run_in_background(render, tokens * SECONDS_PER_TOKEN)


def _scores(
    model: LanguageModel,
    scores: list[TextScore],
    options: RowOptions,
    calibration: Calibration | None,
) -> Iterator[bytes]:
    head = {**_header(model), "unit": options.unit}
    yield orjson.dumps(head)[:-1] + b',"results":['
    for index, score in enumerate(scores):
        yield b"," if index else b""
        closing: dict[str, Any] = score.totals.figures(options.unit)
        if calibration is not None:
            closing["percentile"] = calibration.percentile(score.totals.mean_nats)
        if score.state is not None:
            closing["state"] = model.seal_state(score.state)
        figures = orjson.dumps(closing)
        if not options.tokens:
            yield figures
            continue
        yield b'{"tokens":['
        tokens = model.rows.tokens(score, options, BLOCK_TOKENS)
        for number, block in enumerate(tokens):
            yield (b"," if number else b"") + orjson.dumps(block)[1:-1]
        if model.info.subword and score.starts is not None:
            yield b'],"words":['
            words = model.rows.words(score, options.unit, BLOCK_TOKENS)
            for number, block in enumerate(words):
                yield (b"," if number else b"") + orjson.dumps(block)[1:-1]
        yield b"]," + figures[1:]
    total = scores[0].totals if len(scores) == 1 else _sum(scores)
    yield b'],"summary":' + orjson.dumps(total.figures(options.unit)) + b"}"


def _sum(scores: list[TextScore]) -> Totals:
    summary = Totals()
    for score in scores:
        summary.add(score.totals)
    return summary


async def render_next_tokens(
    model: LanguageModel, result: NextTokenResult, *, return_state: bool
) -> bytes:
    """Return the body of a `/next-token` response; `return_state` adds the handle of the state."""

    def render() -> bytes:
        return _next_tokens(model, result, return_state)

    tokens = len(result.distribution.ids)
    if tokens <= BLOCK_TOKENS:
        return render()
    return await model.run_in_background(render, tokens * SECONDS_PER_TOKEN)


def _next_tokens(model: LanguageModel, result: NextTokenResult, return_state: bool) -> bytes:
    tokens, candidates = model.rows.next_tokens(result)
    answer = {
        **_header(model),
        "tokens": tokens,
        "candidates": candidates,
        "entropy": result.distribution.entropy,
        "remaining_probability": result.distribution.remaining_probability,
    }
    if result.distribution.allowed_probability is not None:
        answer["prefix_probability"] = result.distribution.allowed_probability
    if return_state:
        answer["state"] = model.seal_state(result.state)
    return orjson.dumps(answer)


def render_rescored(request: RescoreRequest, scores: list[HypothesisScore]) -> bytes:
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
