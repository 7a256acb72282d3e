"""Results as JSON bytes, built and serialised once, never holding the event loop for long.

orjson writes NaN and infinity as null, and floats so that reading them gives the same double.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.arrays import Floats
from service.http.native.rescore import RescoreRequest
from service.language_model import LanguageModel
from service.results.calibration import Calibration
from service.results.distribution import NextTokens
from service.results.surfaces import NextSurfaces
from service.results.text_score import TextScore
from service.results.token_rows import ScoreOptions, token_rows, word_rows
from service.runtime.background_thread import SECONDS_PER_TOKEN
from service.scoring import Totals
from service.text.request_encoder import Candidate, TokenizedText

# Tokens serialised at a stretch, about 3 ms, and the most that is worth doing without a thread.
BLOCK_TOKENS = 2000
STATE_TOKENS = 10  # a handle takes as long to write as so many
MOST_BYTES = 4  # of a character in UTF-8


async def render_scores(
    model: LanguageModel,
    scores: list[TextScore],
    detail: ScoreOptions,
    calibration: Calibration | None = None,
) -> bytes:
    """The body of a `/score` response; logprobs are always natural."""

    def render() -> bytes:
        return b"".join(_scores(model, scores, detail, calibration))

    tokens = sum(len(score.ids) for score in scores) if detail.tokens else len(scores)
    tokens += STATE_TOKENS * sum(score.state is not None for score in scores)
    if tokens <= BLOCK_TOKENS:
        return render()
    return await model.background_thread.run(render, tokens * SECONDS_PER_TOKEN)


def _scores(
    model: LanguageModel,
    scores: list[TextScore],
    detail: ScoreOptions,
    calibration: Calibration | None,
) -> Iterator[bytes]:
    head = {**_header(model), "unit": detail.unit}
    yield orjson.dumps(head)[:-1] + b',"results":['
    for index, score in enumerate(scores):
        yield b"," if index else b""
        closing: dict[str, Any] = score.totals.figures(detail.unit)
        if calibration is not None:
            closing["percentile"] = calibration.percentile(score.totals.mean_nats)
        if score.state is not None:
            closing["state"] = model.states.seal(score.state)
        figures = orjson.dumps(closing)
        if not detail.tokens:
            yield figures
            continue
        yield b'{"tokens":['
        tokens = token_rows(model.tokenizer, score, detail, BLOCK_TOKENS)
        for number, block in enumerate(tokens):
            yield (b"," if number else b"") + orjson.dumps(block)[1:-1]
        if model.tokenizer.subword and score.starts is not None:
            yield b'],"words":['
            words = word_rows(score, model.tokenizer.end_id, detail.unit, BLOCK_TOKENS)
            for number, block in enumerate(words):
                yield (b"," if number else b"") + orjson.dumps(block)[1:-1]
        yield b"]," + figures[1:]
    total = scores[0].totals if len(scores) == 1 else _sum(scores)
    yield b'],"summary":' + orjson.dumps(total.figures(detail.unit)) + b"}"


def _sum(scores: list[TextScore]) -> Totals:
    summary = Totals()
    for score in scores:
        summary.add(score.totals)
    return summary


async def render_next_tokens(
    model: LanguageModel,
    context: TokenizedText,
    result: NextTokens,
    candidates: list[Candidate],
    state: Floats | None,
) -> bytes:
    """The body of a `/next-token` response, with a handle where a state is given."""

    def render() -> bytes:
        return _next_tokens(model, context, result, candidates, state)

    if len(result.ids) <= BLOCK_TOKENS:
        return render()
    return await model.background_thread.run(render, len(result.ids) * SECONDS_PER_TOKEN)


def _next_tokens(
    model: LanguageModel,
    context: TokenizedText,
    result: NextTokens,
    candidates: list[Candidate],
    state: Floats | None,
) -> bytes:
    entries, following = model.tokenizer.entries, NextSurfaces(model.tokenizer)
    for token in context.ids[-MOST_BYTES:].tolist():
        following.add(token)
    listed = zip(
        result.ids.tolist(),
        np.exp(result.logprobs).tolist(),
        result.logprobs.tolist(),
        strict=True,
    )
    asked = zip(
        candidates,
        np.exp(result.candidate_logprobs).tolist(),
        result.candidate_logprobs.tolist(),
        result.candidate_ranks.tolist(),
        strict=True,
    )
    answer = {
        **_header(model),
        "tokens": [
            {
                "id": token,
                "text": entries[token],
                "surface": following.surface(token),
                "probability": probability,
                "logprob": logprob,
                "rank": rank,
            }
            for rank, (token, probability, logprob) in enumerate(listed, 1)
        ],
        "candidates": [
            {
                "candidate": candidate.text,
                "id": candidate.id,
                "text": entries[candidate.id],
                "surface": candidate.text if candidate.oov else following.surface(candidate.id),
                "probability": probability,
                "logprob": logprob,
                "rank": rank or None,
                "oov": candidate.oov,
            }
            for candidate, probability, logprob, rank in asked
        ],
        "entropy": result.entropy,
        "remaining_probability": result.remaining_probability,
    }
    if result.allowed_probability is not None:
        answer["prefix_probability"] = result.allowed_probability
    if state is not None:
        answer["state"] = model.states.seal(state)
    return orjson.dumps(answer)


def render_rescored(
    model: LanguageModel,
    request: RescoreRequest,
    passages: list[TokenizedText],
    logprobs: list[NDArray[np.float64]],
) -> bytes:
    """The body of a `/rescore` response, best total first, equal ones as they were given."""
    results = []
    for index, (hypothesis, passage, row) in enumerate(
        zip(request.hypotheses, passages, logprobs, strict=True)
    ):
        logprob = float(row.sum())
        total = hypothesis.score + request.lm_weight * logprob + request.length_bonus * len(row)
        result: dict[str, Any] = {"index": index}
        if hypothesis.id is not None:
            result["id"] = hypothesis.id
        result |= {
            "text": hypothesis.text,
            "logprob": logprob,
            "total": total,
            "token_count": len(row),
            "oov_count": int((passage.ids == model.tokenizer.unknown_id).sum()),
        }
        results.append(result)
    results.sort(key=lambda result: -result["total"])
    return orjson.dumps({"results": results})


def _header(model: LanguageModel) -> dict[str, Any]:
    manifest = model.bundle.manifest
    return {"model": manifest.name, "vocabulary_size": manifest.vocabulary_size}
