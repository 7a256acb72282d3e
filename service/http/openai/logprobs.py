"""Log-probabilities of tokens in the two forms of OpenAI's clients: parallel arrays over the tokens
of a choice, and the alternatives of a prompt's tokens by id.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import orjson

from service.http.json_blocks import blocks_of, to_array
from service.results.result_rows import ResultRows
from service.results.text_score import TextScore
from service.text.tokenized_text import TokenizedText

COLUMNS = ("tokens", "token_logprobs", "top_logprobs", "text_offset")

# A token's entry in each of the columns.
Row = tuple[str, float | None, dict[str, float] | None, int]
Columns = dict[str, list[orjson.Fragment]]


def to_columns(rows: Iterable[Row], alternatives: int) -> Columns:
    """Transpose rows, each with `alternatives` other tokens, into serialised columns."""
    columns: Columns = {name: [] for name in COLUMNS}
    for block in blocks_of(rows, alternatives):
        for name, values in zip(COLUMNS, zip(*block, strict=True), strict=True):
            columns[name] += to_array([values])
    return columns


def prompt_rows(
    result_rows: ResultRows, prompt: TokenizedText, score: TextScore, alternatives: int
) -> Iterator[Row]:
    """Yield a row for each token of an echoed prompt."""
    names, offsets = result_rows.names, result_rows.token_starts(prompt)
    for at, (token, offset) in enumerate(zip(score.ids.tolist(), offsets, strict=True)):
        logprob, ids, values = _scored(score, at, alternatives)
        top = None if logprob is None else top_with_actual(names, token, logprob, ids, values)
        yield names[token], logprob, top, offset


def top_with_actual(
    names: list[str], token: int, logprob: float, ids: list[int], values: list[float]
) -> dict[str, float]:
    """Return the log-probabilities `values` of the most probable `ids` by name, and that of the
    actual token with exactly the float of `token_logprobs`.
    """
    top = {names[other]: value for other, value in zip(ids, values, strict=True)}
    top[names[token]] = logprob
    return top


def logprobs_by_id(names: list[str], score: TextScore, alternatives: int) -> list[orjson.Fragment]:
    """Return an array with an object for each token of a prompt: the actual token, then the most
    probable ones, by id. The entry of a token that nothing stands before is null.
    """
    return to_array(blocks_of(_rows_by_id(names, score, alternatives), alternatives))


def _rows_by_id(
    names: list[str], score: TextScore, alternatives: int
) -> Iterator[dict[str, Any] | None]:
    for at, token in enumerate(score.ids.tolist()):
        logprob, ids, values = _scored(score, at, alternatives)
        if logprob is None or score.decoded.ranks is None:
            yield None
            continue
        rank = int(score.decoded.ranks[at - score.unscored])
        row = {str(token): {"logprob": logprob, "decoded_token": names[token], "rank": rank}}
        for position, (other, value) in enumerate(zip(ids, values, strict=True), 1):
            entry = {"logprob": value, "decoded_token": names[other], "rank": position}
            row.setdefault(str(other), entry)
        yield row


def _scored(
    score: TextScore, at: int, alternatives: int
) -> tuple[float | None, list[int], list[float]]:
    """Return the log-probability of token `at`, None if nothing stands before it, and the ids and
    log-probabilities of the most probable tokens there.
    """
    row = at - score.unscored
    if row < 0:
        return None, [], []
    logprob = float(score.logprobs[at])
    if not alternatives or score.decoded.top_ids is None or score.decoded.top_logprobs is None:
        return logprob, [], []
    ids = score.decoded.top_ids[row][:alternatives].tolist()
    top_logprobs = score.decoded.top_logprobs[row][:alternatives]
    return logprob, ids, top_logprobs.astype(np.float64).tolist()
