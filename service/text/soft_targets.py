"""Soft targets: distributions over words → ids and their probabilities."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from service.arrays import SoftTarget
from service.errors import InvalidRequest, UnknownToken
from service.limits import name_field
from service.text.tokenizer import Tokenizer

# The sum of a distribution may differ from 1 by this much.
TOTAL_TOLERANCE = 1e-6

Distribution = Mapping[str, float]  # words and their probabilities
Distributions = Sequence[Distribution]


def encode_distribution(
    tokenizer: Tokenizer, distribution: Distribution, max_tokens: int, param: str
) -> SoftTarget:
    """Return the ids (k,) of the words and their probabilities (k,).

    Raises, for the field `param`, UnknownToken for a word that is not one token of the vocabulary,
    and InvalidRequest unless the probabilities are at least 0 and sum to 1 within TOTAL_TOLERANCE.
    """
    unknown_id, ids = tokenizer.unknown_id, list[int]()
    unknown = None if unknown_id is None else tokenizer.entries[unknown_id]
    for word in distribution:
        with name_field(param):
            found = tokenizer.word_ids(word, max_tokens)
        if len(found) != 1 or (found[0] == unknown_id and word != unknown):
            raise UnknownToken("a word of this distribution is not in the vocabulary", param)
        ids += found
    probabilities = np.array(list(distribution.values()), np.float64)
    total = math.fsum(distribution.values())
    if abs(total - 1) > TOTAL_TOLERANCE or (probabilities < 0).any():
        raise InvalidRequest(
            f"probabilities must be at least 0 and sum to 1; the sum is {total:.6g}", param
        )
    return np.array(ids, np.int64), probabilities
