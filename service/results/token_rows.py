"""A score's tokens and words as plain rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from service.inference.engine import Decoded
from service.results.surfaces import NextSurfaces, token_spans
from service.results.text_score import TextScore
from service.results.word_score import word_scores
from service.scoring import NATS_IN
from service.text.tokenizer import Tokenizer

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowOptions:
    """The parts of a score to write.

    `tokens` adds the rows of tokens, `ranks` their ranks and entropies, and `top_g` whether each is
    `anomalous`: not among the `top_g` most probable. Cross-entropies and entropies are in `unit`.
    """

    tokens: bool
    unit: str
    ranks: bool = False
    top_g: int | None = None


def token_rows(
    tokenizer: Tokenizer, score: TextScore, options: RowOptions, block: int
) -> Iterator[list[Row]]:
    """Yield a row for each token of a text, `block` rows at a time.

    Log-probabilities are natural in any unit.
    """
    entries, factor = tokenizer.entries, NATS_IN[options.unit]
    text, starts, ends = token_spans(tokenizer, score)
    following = NextSurfaces(tokenizer) if score.decoded.has_details else None
    for begin in range(0, len(score.ids), block):
        rows = slice(begin, begin + block)
        logprobs = score.logprobs[rows]
        tokens: list[Row] = [
            {
                "id": token,
                "text": entries[token],
                "surface": text[start:end],
                "start": start,
                "end": end,
                "logprob": logprob,
                "cross_entropy": cross_entropy,
                "oov": oov,
            }
            for token, start, end, logprob, cross_entropy, oov in zip(
                score.ids[rows].tolist(),
                starts[rows],
                ends[rows],
                logprobs.tolist(),
                (-factor * logprobs).tolist(),
                score.oov[rows].tolist(),
                strict=True,
            )
        ]
        if score.starts is None:  # the request gave ids, and no text for offsets
            for row in tokens:
                row["start"] = row["end"] = None
        if following is not None:
            unscored = max(0, score.unscored - begin)
            for row in tokens[:unscored]:
                following.add(row["id"])
            decoded_rows = slice(begin + unscored - score.unscored, begin + block - score.unscored)
            decoded = score.decoded[decoded_rows]
            _add_optional_fields(tokens[unscored:], decoded, options)
            _add_alternatives(tokens[unscored:], decoded, entries, following)
        yield tokens


def word_rows(score: TextScore, end_id: int, unit: str, block: int) -> Iterator[list[Row]]:
    """Yield a row for each word of a text, `block` rows at a time. The score must have offsets."""
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


def _add_optional_fields(tokens: list[Row], decoded: Decoded, options: RowOptions) -> None:
    """Add ranks, entropies, anomalies and soft cross-entropies to rows of scored tokens."""
    factor = NATS_IN[options.unit]
    if decoded.ranks is not None and decoded.entropies is not None:
        ranks = decoded.ranks.tolist()
        entropies = (decoded.entropies.astype(np.float64) * factor).tolist()
        for token, rank, entropy in zip(tokens, ranks, entropies, strict=True):
            if options.ranks:
                token["rank"], token["entropy"] = rank, entropy
            if options.top_g is not None:
                token["anomalous"] = rank > options.top_g
    if decoded.soft_cross_entropies is not None:
        soft = (decoded.soft_cross_entropies.astype(np.float64) * factor).tolist()
        for token, cross_entropy in zip(tokens, soft, strict=True):
            token["soft_cross_entropy"] = cross_entropy


def _add_alternatives(
    tokens: list[Row], decoded: Decoded, entries: list[str], following: NextSurfaces
) -> None:
    """Add the most probable tokens to rows of scored tokens. `following` has the tokens before."""
    if decoded.top_ids is None or decoded.top_logprobs is None:
        return
    ids = decoded.top_ids.tolist()
    logprobs = decoded.top_logprobs.astype(np.float64).tolist()
    for token, top, values in zip(tokens, ids, logprobs, strict=True):
        surface = following.surface
        token["top"] = [
            {"id": other, "text": entries[other], "surface": surface(other), "logprob": value}
            for other, value in zip(top, values, strict=True)
        ]
        following.add(token["id"])
