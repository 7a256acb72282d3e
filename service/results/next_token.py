"""The distribution of the next word, and its rows for a response."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.arrays import Floats, Ids
from service.errors import InvalidRequest
from service.results.distribution import DistributionOptions, NextTokens
from service.results.options import NextTokenOptions
from service.results.surfaces import NextSurfaces
from service.text.tokenized_text import Candidate
from service.text.tokenizer import Tokenizer

MAX_UTF8_BYTES = 4  # of a character

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NextTokenResult:
    """The distribution after a context of ids (n,), and the recurrent state (S,) there."""

    context: Ids
    distribution: NextTokens
    candidates: Sequence[Candidate]
    state: Floats


def distribution_options(tokenizer: Tokenizer, options: NextTokenOptions) -> DistributionOptions:
    """Translate words of a request into ids. Raises InvalidRequest if `top_k` is too large."""
    if options.top_k > tokenizer.vocabulary_size:
        raise InvalidRequest(f"top_k is at most {tokenizer.vocabulary_size}", "top_k")
    prefix = options.prefix
    return DistributionOptions(
        top_k=options.top_k,
        temperature=options.temperature,
        excluded=tokenizer.special_ids if options.exclude_special else None,
        allowed=None if prefix is None else tokenizer.vocabulary.with_prefix(prefix),
        candidates=[candidate.id for candidate in options.candidates],
    )


def next_token_rows(tokenizer: Tokenizer, result: NextTokenResult) -> tuple[list[Row], list[Row]]:
    """Return the rows of the listed tokens and those of the candidates."""
    following = NextSurfaces(tokenizer)
    for token in result.context[-MAX_UTF8_BYTES:].tolist():
        following.add(token)
    entries, surface, found = tokenizer.entries, following.surface, result.distribution
    listed = zip(
        found.ids.tolist(), np.exp(found.logprobs).tolist(), found.logprobs.tolist(), strict=True
    )
    candidates = zip(
        result.candidates,
        np.exp(found.candidate_logprobs).tolist(),
        found.candidate_logprobs.tolist(),
        found.candidate_ranks.tolist(),
        strict=True,
    )
    return [
        {
            "id": token,
            "text": entries[token],
            "surface": surface(token),
            "probability": probability,
            "logprob": logprob,
            "rank": rank,
        }
        for rank, (token, probability, logprob) in enumerate(listed, 1)
    ], [
        {
            "candidate": candidate.text,
            "id": candidate.id,
            "text": entries[candidate.id],
            "surface": candidate.text if candidate.oov else surface(candidate.id),
            "probability": probability,
            "logprob": logprob,
            "rank": rank or None,
            "oov": candidate.oov,
        }
        for candidate, probability, logprob, rank in candidates
    ]
