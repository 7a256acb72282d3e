"""Results as JSON bytes, built and serialised once, never holding the event loop for long.

orjson writes NaN and infinity as null, and floats so that reading them gives the same double.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from service.distribution import NextTokens
from service.inference.engine import Floats
from service.language_model import LanguageModel
from service.reader import Candidate
from service.scoring import NATS_IN, Totals
from service.text_score import TextScore

# Tokens serialised at a stretch, about 3 ms, and the most that is worth doing without a thread.
BLOCK_TOKENS = 2000


async def render_scores(
    model: LanguageModel, scores: list[TextScore], unit: str, with_tokens: bool
) -> bytes:
    """The body of a `/score` response; cross-entropies in `unit`, logprobs always natural."""

    def render() -> bytes:
        return b"".join(_scores(model, scores, unit, with_tokens))

    long = with_tokens and sum(len(score.ids) for score in scores) > BLOCK_TOKENS
    return await asyncio.to_thread(render) if long else render()


def _scores(
    model: LanguageModel, scores: list[TextScore], unit: str, with_tokens: bool
) -> Iterator[bytes]:
    summary = Totals()
    head = {**_header(model), "unit": unit}
    yield orjson.dumps(head)[:-1] + b',"results":['
    for index, score in enumerate(scores):
        summary.add(score.totals)
        yield b"," if index else b""
        closing: dict[str, Any] = score.totals.figures(unit)
        if score.state is not None:
            closing["state"] = model.states.seal(score.state)
        figures = orjson.dumps(closing)
        if not with_tokens:
            yield figures
            continue
        yield b'{"tokens":['
        for begin in range(0, len(score.ids), BLOCK_TOKENS):
            block = _tokens(
                model.tokenizer.entries, score, unit, slice(begin, begin + BLOCK_TOKENS)
            )
            yield (b"," if begin else b"") + orjson.dumps(block)[1:-1]
        yield b"]," + figures[1:]
    yield b'],"summary":' + orjson.dumps(summary.figures(unit)) + b"}"


def _tokens(entries: list[str], score: TextScore, unit: str, at: slice) -> list[dict[str, Any]]:
    ids = score.ids[at].tolist()
    spans = len(ids)
    logprobs = score.logprobs[at]
    tokens = [
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
            score.starts[at] if score.starts is not None else [None] * spans,
            score.ends[at] if score.ends is not None else [None] * spans,
            logprobs.tolist(),
            (-NATS_IN[unit] * logprobs).tolist(),
            score.oov[at].tolist(),
            strict=True,
        )
    ]
    decoded = score.decoded
    if decoded.top_ids is not None and decoded.top_logprobs is not None:
        first = at.start - score.unscored
        for row, token in enumerate(tokens, first):
            if row >= 0:
                token["top"] = _alternatives(
                    entries, decoded.top_ids[row], decoded.top_logprobs[row]
                )
    return tokens


def _alternatives(entries: list[str], ids: Any, logprobs: Any) -> list[dict[str, Any]]:
    return [
        {"id": token, "text": entries[token], "logprob": logprob}
        for token, logprob in zip(ids.tolist(), logprobs.astype(np.float64).tolist(), strict=True)
    ]


def render_next_tokens(
    model: LanguageModel,
    result: NextTokens,
    candidates: list[Candidate],
    state: Floats | None,
) -> bytes:
    """The body of a `/next-token` response, with a handle where a state is given."""
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


def _header(model: LanguageModel) -> dict[str, Any]:
    manifest = model.bundle.manifest
    return {"model": manifest.name, "vocabulary_size": manifest.vocabulary_size}
