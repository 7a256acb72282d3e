"""Tokens' log-probabilities, summed per white-space word."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.arrays import Ids
from service.results.text_score import TextScore

WORD = re.compile(r"\S+")  # what str.split finds, as in a text's word_count


@dataclass(frozen=True, slots=True)
class WordScores:
    """Of each of a text's W words its span in code points, the sum of its scored tokens' natural
    log-probabilities, and how many these are; a word none of whose tokens was scored has 0 of 0.
    """

    spans: list[tuple[int, int]]
    logprobs: NDArray[np.float64]  # (W,)
    token_counts: Ids  # (W,)


def word_scores(score: TextScore, end_id: int) -> WordScores:
    """Every scored token but `<eos>` counts for one word: the one that it begins in, or, for white
    space, the one that follows; the last word for white space at the end of the text.

        text      The  old\u23ce        (\u23ce is the line's end)
        tokens    [The][ ][ old][<eos>]
        words     The: [The]      old: [ ] [ old]

    So the words and the `<eos>` sum to the total of any text that has a word. The score must have
    offsets.
    """
    assert score.starts is not None
    spans = [word.span() for word in WORD.finditer(score.text)]
    counted = np.flatnonzero((score.ids != end_id) & ~np.isnan(score.logprobs))
    if not spans:
        return WordScores([], np.empty(0), np.empty(0, np.int64))
    ends = np.array([end for _, end in spans])
    word = np.searchsorted(ends, np.array(score.starts)[counted], side="right")
    word = np.minimum(word, len(spans) - 1)
    return WordScores(
        spans,
        np.bincount(word, score.logprobs[counted], len(spans)).astype(np.float64),
        np.bincount(word, minlength=len(spans)),
    )
