"""One next-word distribution, shaped as a caller wants it: pure arithmetic on one row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.arrays import Floats, Ids

# Below it all of a distribution is on its largest word, and dividing by less would overflow.
SMALLEST_TEMPERATURE = 1e-300

Row = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DistributionOptions:
    """What to do to a distribution, in this order, renormalised after each step.

    `temperature` divides the logits; `excluded` ids are left out; `allowed` ids, if given, are
    all that stays. Then the `top_k` most probable are listed, and every candidate.
    """

    top_k: int
    temperature: float = 1.0
    excluded: Ids | None = None
    allowed: Ids | None = None
    candidates: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class NextTokens:
    """`logprobs` are natural; a rank counts from 1; a candidate left out has −inf and rank 0."""

    ids: Ids
    logprobs: Row
    candidate_logprobs: Row
    candidate_ranks: Ids
    entropy: float | None
    remaining_probability: float
    allowed_probability: float | None


def next_token_distribution(log_probabilities: Floats, shape: DistributionOptions) -> NextTokens:
    """Log-probabilities (V,) → the listed words, by falling probability, ties by id."""
    row = log_probabilities.astype(np.float64)
    if shape.temperature != 1.0:
        row, _ = _normalize(row / max(shape.temperature, SMALLEST_TEMPERATURE))
    if shape.excluded is not None:
        row[shape.excluded] = -np.inf
        row, _ = _normalize(row)
    mass = None
    if shape.allowed is not None:
        kept = np.full_like(row, -np.inf)
        kept[shape.allowed] = row[shape.allowed]
        row, mass = _normalize(kept)
    probabilities = np.exp(row)
    possible = int(np.count_nonzero(row > -np.inf))
    ids = most_probable(row, min(shape.top_k, possible))
    finite = np.where(probabilities > 0, row, 0.0)
    listed = float(probabilities[ids].sum())
    candidates = np.asarray(shape.candidates, np.int64)
    return NextTokens(
        ids=ids,
        logprobs=row[ids],
        candidate_logprobs=row[candidates],
        candidate_ranks=np.array([_rank(row, i) for i in shape.candidates], np.int64),
        entropy=max(0.0, float(-(probabilities * finite).sum())) if possible else None,
        remaining_probability=max(0.0, 1.0 - listed) if len(ids) < possible else 0.0,
        allowed_probability=None
        if mass is None
        else min(1.0, mass),  # float32 rows sum to 1 + 1e-6
    )


def most_probable(row: Row, count: int) -> Ids:
    """Ids of the `count` largest entries, largest first, equal ones by rising id."""
    if count == 0:
        return np.empty(0, np.int64)
    least = np.partition(row, -count)[-count]
    above = np.flatnonzero(row > least)
    equal = np.flatnonzero(row == least)[: count - len(above)]
    ids = np.concatenate([above, equal])
    return ids[np.lexsort((ids, -row[ids]))]


def _rank(row: Row, index: int) -> int:
    value = row[index]
    if value == -np.inf:
        return 0
    return 1 + int(np.count_nonzero(row > value)) + int(np.count_nonzero(row[:index] == value))


def _normalize(row: Row) -> tuple[Row, float]:
    """The row less its log-sum-exp, and the mass it had; a row of −inf stays, with mass 0."""
    largest = row.max(initial=-np.inf)
    if largest == -np.inf:
        return row, 0.0
    log_mass = largest + np.log(np.exp(row - largest).sum())
    return row - log_mass, float(np.exp(log_mass))
