"""Per-token and per-word detail of a score, as plain rows; who asks writes them down."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from service.inference.engine import Decoded
from service.scoring import NATS_IN
from service.text_score import TextScore
from service.word_score import word_scores


@dataclass(frozen=True, slots=True)
class Detail:
    """How much of a score is answered: `unit` of cross-entropies and entropies, per-token detail,
    ranks and entropies in it, and whether a token is among the `top_g` most probable.
    """

    tokens: bool
    unit: str
    ranks: bool = False
    top_g: int | None = None


def token_rows(
    entries: list[str], score: TextScore, detail: Detail, rows: slice
) -> list[dict[str, Any]]:
    """Some of a text's tokens; `entries` are the vocabulary's. Logprobs are always natural."""
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


def word_rows(
    score: TextScore, end_id: int, unit: str, block: int
) -> Iterator[list[dict[str, Any]]]:
    """All words of a text, `block` of them at a time."""
    words, factor = word_scores(score, end_id), NATS_IN[unit]
    rows = zip(words.spans, words.logprobs.tolist(), words.token_counts.tolist(), strict=True)
    for _ in range(0, len(words.spans), block):
        yield [
            {
                "text": score.text[start:end],
                "start": start,
                "end": end,
                "logprob": logprob if count else None,
                "cross_entropy": -factor * logprob if count else None,
                "token_count": count,
            }
            for (start, end), logprob, count in islice(rows, block)
        ]


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
