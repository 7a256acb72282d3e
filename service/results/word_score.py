"""Tokens' log-probabilities, summed per word."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.results.text_score import TextScore

WORD = re.compile(r"\S+")  # the same words as str.split, whose number is `word_count`


@dataclass(frozen=True, slots=True)
class WordScores:
    """The W words of a text between white space.

    `spans` are in code points, `logprobs` sums of the words' scored tokens, and `token_counts` the
    numbers of these tokens. A word without a scored token has the sum 0 and the count 0.
    """

    spans: list[tuple[int, int]]
    logprobs: NDArray[np.float64]  # (W,)
    token_counts: NDArray[np.int64]  # (W,)


def word_scores(score: TextScore, end_id: int) -> WordScores:
    """Return the scores of a text's words. The score must have offsets.

    Every scored token except `<eos>` counts for one word: the word that it begins in. White space
    counts for the word that follows, or at the end of the text for the last word:

        text      The  old\u23ce        (\u23ce is the end of the line)
        tokens    [The][ ][ old][<eos>]
        words     The: [The]      old: [ ] [ old]

    Therefore the words and the `<eos>` sum to the total of any text that has a word.
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
