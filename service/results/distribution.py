"""The arithmetic of a next-word distribution: temperature, exclusion, and the listed words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.arrays import Floats, Ids

# Below it the most probable word has probability 1, and dividing by less would overflow.
SMALLEST_TEMPERATURE = 1e-300

Row = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DistributionOptions:
    """The steps of a distribution, in this order. Each renormalises.

    `temperature` divides the logits; `excluded` ids are removed; `allowed` ids, if given, are kept
    and all others removed. Then the `top_k` most probable ids are listed, and every candidate.
    """

    top_k: int
    temperature: float = 1.0
    excluded: Ids | None = None
    allowed: Ids | None = None
    candidates: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class NextTokens:
    """The listed ids (k,) and the candidates (c,) of a distribution.

    `logprobs` are natural. Ranks count from 1; a removed candidate has −inf and rank 0. `entropy`
    is in nats, and None if every id was removed. `allowed_probability` is the probability of the
    `allowed` ids before they were renormalised.
    """

    ids: Ids  # (k,)
    logprobs: Row  # (k,)
    candidate_logprobs: Row  # (c,)
    candidate_ranks: Ids  # (c,)
    entropy: float | None
    remaining_probability: float
    allowed_probability: float | None


def next_token_distribution(log_probabilities: Floats, options: DistributionOptions) -> NextTokens:
    """Return the listed ids of log-probabilities (V,), most probable first, ties by id."""
    row = log_probabilities.astype(np.float64)
    if options.temperature != 1.0:
        row, _ = _normalize(row / max(options.temperature, SMALLEST_TEMPERATURE))
    if options.excluded is not None:
        row[options.excluded] = -np.inf
        row, _ = _normalize(row)
    mass = None
    if options.allowed is not None:
        kept = np.full_like(row, -np.inf)
        kept[options.allowed] = row[options.allowed]
        row, mass = _normalize(kept)
    probabilities = np.exp(row)
    possible = int(np.count_nonzero(row > -np.inf))
    ids = most_probable(row, min(options.top_k, possible))
    finite = np.where(probabilities > 0, row, 0.0)
    listed = float(probabilities[ids].sum())
    candidates = np.asarray(options.candidates, np.int64)
    return NextTokens(
        ids=ids,
        logprobs=row[ids],
        candidate_logprobs=row[candidates],
        candidate_ranks=np.array([_rank(row, i) for i in options.candidates], np.int64),
        entropy=max(0.0, float(-(probabilities * finite).sum())) if possible else None,
        remaining_probability=max(0.0, 1.0 - listed) if len(ids) < possible else 0.0,
        allowed_probability=None
        if mass is None
        else min(1.0, mass),  # a float32 row may sum to 1 + 1e-6
    )


def most_probable(row: Row, count: int) -> Ids:
    """Return the ids of the `count` largest entries of a row (V,), largest first, ties by id."""
    if count == 0:
        return np.empty(0, np.int64)
    least = np.partition(row, -count)[-count]
    above = np.flatnonzero(row > least)
    equal = np.flatnonzero(row == least)[: count - len(above)]
    ids = np.concatenate([above, equal])
    return ids[np.lexsort((ids, -row[ids]))]


def _rank(row: Row, index: int) -> int:
    """Return the rank of an id, counted from 1, ties by id; 0 if it was removed."""
    value = row[index]
    if value == -np.inf:
        return 0
    return 1 + int(np.count_nonzero(row > value)) + int(np.count_nonzero(row[:index] == value))


def _normalize(row: Row) -> tuple[Row, float]:
    """Return the row minus its log-sum-exp, and its probability before. A row of −inf stays as it
    is, and its probability is 0.
    """
    largest = row.max(initial=-np.inf)
    if largest == -np.inf:
        return row, 0.0
    log_mass = largest + np.log(np.exp(row - largest).sum())
    return row - log_mass, float(np.exp(log_mass))
