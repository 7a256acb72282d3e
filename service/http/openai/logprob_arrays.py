"""Log-probabilities of a completion's tokens as OpenAI's clients read them: parallel arrays, and
those of a prompt by id. They are written as JSON in blocks of about 3 ms.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import orjson

from service.http.native.responses import BLOCK_TOKENS
from service.results.result_rows import ResultRows
from service.results.text_score import TextScore
from service.text.request_encoder import TokenizedText

ARRAYS = ("tokens", "token_logprobs", "top_logprobs", "text_offset")

Row = tuple[str, float | None, dict[str, float] | None, int]  # an entry of each array
Columns = list[bytes]  # of each array what stands between its brackets


def columns(rows: Iterable[Row], count: int) -> Columns:
    """Rows that have `count` alternatives each, by array."""
    parts: list[list[bytes]] = [[] for _ in ARRAYS]
    for block in _blocks(rows, count):
        for part, values in zip(parts, zip(*block, strict=True), strict=True):
            part.append(orjson.dumps(values)[1:-1])
    return [b",".join(part) for part in parts]


def written(parts: list[Columns]) -> bytes:
    """The arrays of some parts in a row, as an object."""
    joined = [b",".join(filter(None, column)) for column in zip(*parts, strict=True)]
    named_arrays = zip(ARRAYS, joined, strict=True)
    return b"{" + b",".join(b'"%b":[%b]' % (k.encode(), v) for k, v in named_arrays) + b"}"


def echoed_rows(
    rows: ResultRows, passage: TokenizedText, score: TextScore, count: int
) -> Iterator[Row]:
    """Of the tokens of an echoed prompt."""
    names, offsets = rows.names, rows.token_starts(passage)
    for at, (token, offset) in enumerate(zip(score.ids.tolist(), offsets, strict=True)):
        logprob, ids, values = _scored(score, at, count)
        top = None if logprob is None else named(names, token, logprob, ids, values)
        yield names[token], logprob, top, offset


def named(
    names: list[str], token: int, logprob: float, ids: list[int], values: list[float]
) -> dict[str, float]:
    """The most probable tokens by name, and the actual one with its very float."""
    named = {names[other]: value for other, value in zip(ids, values, strict=True)}
    named[names[token]] = logprob
    return named


def logprobs_by_id(names: list[str], score: TextScore, count: int) -> bytes:
    """For each token of a prompt the `count` most probable by id, the actual one first: an array of
    objects, null for a token that nothing stood before.
    """
    blocks = (orjson.dumps(block)[1:-1] for block in _blocks(_by_id(names, score, count), count))
    return b"[" + b",".join(blocks) + b"]"


def _by_id(names: list[str], score: TextScore, count: int) -> Iterator[dict[str, Any] | None]:
    for at, token in enumerate(score.ids.tolist()):
        logprob, ids, values = _scored(score, at, count)
        if logprob is None or score.decoded.ranks is None:
            yield None
            continue
        rank = int(score.decoded.ranks[at - score.unscored])
        row = {str(token): {"logprob": logprob, "decoded_token": names[token], "rank": rank}}
        for position, (other, value) in enumerate(zip(ids, values, strict=True), 1):
            entry = {"logprob": value, "decoded_token": names[other], "rank": position}
            row.setdefault(str(other), entry)
        yield row


def _scored(score: TextScore, at: int, count: int) -> tuple[float | None, list[int], list[float]]:
    """Log-probability of token `at`, None if nothing stood before it, and the most probable."""
    row = at - score.unscored
    if row < 0:
        return None, [], []
    logprob = float(score.logprobs[at])
    if not count or score.decoded.top_ids is None or score.decoded.top_logprobs is None:
        return logprob, [], []
    ids = score.decoded.top_ids[row][:count].tolist()
    return logprob, ids, score.decoded.top_logprobs[row][:count].astype(np.float64).tolist()


def _blocks(rows: Iterable[Any], count: int) -> Iterator[list[Any]]:
    """Rows with `count` alternatives each, as many as are serialised at a stretch."""
    left = iter(rows)
    while block := list(islice(left, max(1, BLOCK_TOKENS // (1 + count)))):
        yield block
