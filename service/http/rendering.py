"""Results as JSON bytes, built and serialised once, never holding the event loop for long.

orjson writes NaN and infinity as null, and floats so that reading them gives the same double.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.distribution import NextTokens
from service.http.schemas.rescore import RescoreRequest
from service.inference.engine import Decoded, Floats
from service.language_model import LanguageModel
from service.reader import Candidate, Passage
from service.scoring import NATS_IN, Totals
from service.text_score import TextScore
from service.word_score import word_scores

# Tokens serialised at a stretch, about 3 ms, and the most that is worth doing without a thread.
BLOCK_TOKENS = 2000


@dataclass(frozen=True, slots=True)
class Detail:
    """How much of a score is answered: `unit` of cross-entropies and entropies, per-token detail,
    ranks and entropies in it, and whether a token is among the `top_g` most probable.
    """

    tokens: bool
    unit: str
    ranks: bool
    top_g: int | None


async def render_scores(model: LanguageModel, scores: list[TextScore], detail: Detail) -> bytes:
    """The body of a `/score` response; logprobs are always natural."""

    def render() -> bytes:
        return b"".join(_scores(model, scores, detail))

    long = detail.tokens and sum(len(score.ids) for score in scores) > BLOCK_TOKENS
    return await model.long_work.run(render) if long else render()


def _scores(model: LanguageModel, scores: list[TextScore], detail: Detail) -> Iterator[bytes]:
    head = {**_header(model), "unit": detail.unit}
    yield orjson.dumps(head)[:-1] + b',"results":['
    for index, score in enumerate(scores):
        yield b"," if index else b""
        closing: dict[str, Any] = score.totals.figures(detail.unit)
        if score.state is not None:
            closing["state"] = model.states.seal(score.state)
        figures = orjson.dumps(closing)
        if not detail.tokens:
            yield figures
            continue
        yield b'{"tokens":['
        for begin in range(0, len(score.ids), BLOCK_TOKENS):
            rows = slice(begin, begin + BLOCK_TOKENS)
            block = _tokens(model.tokenizer.entries, score, detail, rows)
            yield (b"," if begin else b"") + orjson.dumps(block)[1:-1]
        if model.tokenizer.subword and score.starts is not None:
            yield b'],"words":['
            yield from _words(score, model.tokenizer.end_id, detail.unit)
        yield b"]," + figures[1:]
    total = scores[0].totals if len(scores) == 1 else _sum(scores)
    yield b'],"summary":' + orjson.dumps(total.figures(detail.unit)) + b"}"


def _sum(scores: list[TextScore]) -> Totals:
    summary = Totals()
    for score in scores:
        summary.add(score.totals)
    return summary


def _tokens(
    entries: list[str], score: TextScore, detail: Detail, rows: slice
) -> list[dict[str, Any]]:
    ids = score.ids[rows].tolist()
    logprobs = score.logprobs[rows]
    factor = NATS_IN[detail.unit]
    nothing = [None] * len(ids)
    tokens: list[dict[str, Any]] = [
        {
            "id": token,
            "text": entries[token],
            "start": start,
            "end": end,
            "logprob": logprob,
            "cross_entropy": cross_entropy,
            "oov": oov,
        }
        for token, start, end, logprob, cross_entropy, oov in zip(
            ids,
            nothing if score.starts is None else score.starts[rows],
            nothing if score.ends is None else score.ends[rows],
            logprobs.tolist(),
            (-factor * logprobs).tolist(),
            score.oov[rows].tolist(),
            strict=True,
        )
    ]
    if score.decoded.has_more:
        first = rows.start - score.unscored
        for row, token in enumerate(tokens, first):
            if row >= 0:
                token.update(_asked(entries, score.decoded, row, detail))
    return tokens


def _words(score: TextScore, end_id: int, unit: str) -> Iterator[bytes]:
    """The items of a list, without its brackets."""
    words, factor = word_scores(score, end_id), NATS_IN[unit]
    rows = zip(words.spans, words.logprobs.tolist(), words.token_counts.tolist(), strict=True)
    for begin in range(0, len(words.spans), BLOCK_TOKENS):
        block = [
            {
                "text": score.text[start:end],
                "start": start,
                "end": end,
                "logprob": logprob if count else None,
                "cross_entropy": -factor * logprob if count else None,
                "token_count": count,
            }
            for (start, end), logprob, count in islice(rows, BLOCK_TOKENS)
        ]
        yield (b"," if begin else b"") + orjson.dumps(block)[1:-1]


def _asked(entries: list[str], decoded: Decoded, row: int, detail: Detail) -> dict[str, Any]:
    """What was asked about one scored token beyond its log-probability."""
    factor = NATS_IN[detail.unit]
    found: dict[str, Any] = {}
    if decoded.ranks is not None and decoded.entropies is not None:
        rank = int(decoded.ranks[row])
        if detail.ranks:
            found = {"rank": rank, "entropy": float(decoded.entropies[row]) * factor}
        if detail.top_g is not None:
            found["anomalous"] = rank > detail.top_g
    if decoded.soft_cross_entropies is not None:
        found["soft_cross_entropy"] = float(decoded.soft_cross_entropies[row]) * factor
    if decoded.top_ids is not None and decoded.top_logprobs is not None:
        found["top"] = _alternatives(entries, decoded.top_ids[row], decoded.top_logprobs[row])
    return found


def _alternatives(entries: list[str], ids: Any, logprobs: Any) -> list[dict[str, Any]]:
    return [
        {"id": token, "text": entries[token], "logprob": logprob}
        for token, logprob in zip(ids.tolist(), logprobs.astype(np.float64).tolist(), strict=True)
    ]


async def render_next_tokens(
    model: LanguageModel,
    result: NextTokens,
    candidates: list[Candidate],
    state: Floats | None,
) -> bytes:
    """The body of a `/next-token` response, with a handle where a state is given."""

    def render() -> bytes:
        return _next_tokens(model, result, candidates, state)

    return await model.long_work.run(render) if len(result.ids) > BLOCK_TOKENS else render()


def _next_tokens(
    model: LanguageModel, result: NextTokens, candidates: list[Candidate], state: Floats | None
) -> bytes:
    entries = model.tokenizer.entries
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
    passages: list[Passage],
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
