"""Scores as they are written: rows of aggregates, or a layout that other programs read.

A format makes the payload of one block from its records and scores, in a thread of its own. It
knows no files.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from service.bulk.document import Document
from service.bulk.input.ids import Id, as_text, dumps
from service.bulk.output.cell import escaped
from service.language_model import LanguageModel
from service.results.calibration import Calibration
from service.results.text_score import TextScore
from service.results.token_rows import RowOptions
from service.results.word_score import word_scores
from service.scoring import NATS_IN, Totals, perplexity

Name = Literal["jsonl", "tsv", "parquet", "kenlm-query", "surprisal-tsv"]
ROW_FORMATS = ("jsonl", "tsv", "parquet")
Row = dict[str, Any]
# A document that is not scored has none; its row, if it keeps one, holds nulls.
Scored = list[tuple[Document, TextScore | None]]
MANY = 1 << 62

FIGURES = tuple(Totals().figures("nats"))
COUNTS = ("token_count", "oov_count", "word_count")


@dataclass(frozen=True, slots=True)
class Columns:
    """What a row has beside the aggregates of `/score`, which come in `unit`."""

    unit: str = "nats"
    tokens: bool = False
    text: bool = False
    id: bool = False
    percentile: bool = False
    bucket: bool = False

    @property
    def names(self) -> list[str]:
        names = ["input", "line", *(["id"] if self.id else []), *(["text"] if self.text else [])]
        names += FIGURES
        names += ["percentile"] if self.percentile else []
        return [*names, *(["bucket"] if self.bucket else [])]


def rows(
    model: LanguageModel,
    columns: Columns,
    calibration: Calibration | None,
    scored: Scored,
) -> list[Row]:
    """A row for each document, in the order of `Columns.names`; `tokens` and `words` last."""
    return [_row(model, columns, calibration, record, score) for record, score in scored]


def _row(
    model: LanguageModel,
    columns: Columns,
    calibration: Calibration | None,
    record: Document,
    score: TextScore | None,
) -> Row:
    row: Row = {"input": record.source, "line": record.line}
    if columns.id:
        row["id"] = record.id
    if score is None:
        names = [*columns.names, *(["tokens"] if columns.tokens else [])]
        names += ["words"] if columns.tokens and model.info.subword else []
        return row | dict.fromkeys(name for name in names if name not in row)
    if columns.text:
        row["text"] = record.text
    row |= score.totals.figures(columns.unit)
    if columns.percentile and calibration is not None:
        row["percentile"] = calibration.percentile(score.totals.mean_nats)
    if columns.tokens:
        options = RowOptions(tokens=True, unit=columns.unit)
        row["tokens"] = [t for b in model.rows.tokens(score, options, MANY) for t in b]
        if model.info.subword:
            row["words"] = [w for b in model.rows.words(score, columns.unit, MANY) for w in b]
    return row


def jsonl(rows: Iterable[Row]) -> bytes:
    return b"".join(dumps(row) + b"\n" for row in rows)


def tsv(names: list[str]) -> Callable[[Iterable[Row]], bytes]:
    """Return a writer of lines of these columns: null is an empty cell, figures are exact."""

    def write(rows: Iterable[Row]) -> bytes:
        lines = ("\t".join(_cell(row.get(name)) for name in names) + "\n" for row in rows)
        return "".join(lines).encode()

    return write


def _cell(value: Id) -> str:
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        return repr(value)
    return escaped(as_text(value) or "")


def kenlm_query(model: LanguageModel, scored: Scored) -> bytes:
    """KenLM's `query`: `word=id ngram_length log10prob` and a tab for each word, then the totals.

    The id 0 is that of unknown words and of nothing else; where a bundle's own ids have it
    otherwise, or a word is several tokens, what stands there is 1 + the id of its first token.
    ngram_length counts the words that the probability depends on: all since the beginning, the
    prefix token and the word itself included. Each `<eos>` is a `</s>`. A document that is not
    scored is an empty line.
    """
    lines = ("\n" if score is None else _kenlm_line(model, score) for _, score in scored)
    return "".join(lines).encode()


def _kenlm_line(model: LanguageModel, score: TextScore) -> str:
    shift = 0 if model.info.unknown_id == 0 else 1
    parts = [
        f"{word}={0 if oov else token + shift} {length} {logprob * NATS_IN['bans']:.7g}\t"
        for length, (word, token, logprob, oov) in enumerate(_kenlm_words(model, score), 2)
    ]
    total = -score.totals.nats * NATS_IN["bans"]
    return f"{''.join(parts)}Total: {total:.9g} OOV: {score.totals.oov_tokens}\n"


def _kenlm_words(model: LanguageModel, score: TextScore) -> list[tuple[str, int, float, bool]]:
    end_id, ids = model.info.end_id, score.ids.tolist()
    assert score.starts is not None
    assert score.ends is not None
    if not model.info.subword:
        return [
            ("</s>" if token == end_id else score.text[start:end], token, logprob, oov)
            for token, start, end, logprob, oov in zip(
                ids,
                score.starts,
                score.ends,
                score.logprobs.tolist(),
                score.oov.tolist(),
                strict=True,
            )
        ]
    words = word_scores(score, end_id)
    firsts = dict(zip(score.starts[::-1], ids[::-1], strict=True))
    found = [
        (start, score.text[start:end], firsts.get(start, ids[0]), logprob, False)
        for (start, end), logprob in zip(words.spans, words.logprobs.tolist(), strict=True)
    ]
    found += [
        (start, "</s>", token, logprob, False)
        for token, start, logprob in zip(ids, score.starts, score.logprobs.tolist(), strict=True)
        if token == end_id
    ]
    return [word[1:] for word in sorted(found, key=lambda word: word[0])]


def kenlm_summary(totals: Totals) -> bytes:
    """The four lines that `query` ends with; a perplexity beyond a double is inf, over nothing nan,
    as C++ writes them.
    """

    def written(nats: float, count: int) -> str:
        value = perplexity(nats, count)
        return f"{(math.nan if count == 0 else math.inf) if value is None else value:.9g}"

    known = totals.nats - totals.oov_nats, totals.tokens - totals.oov_tokens
    return (
        f"Perplexity including OOVs:\t{written(totals.nats, totals.tokens)}\n"
        f"Perplexity excluding OOVs:\t{written(*known)}\n"
        f"OOVs:\t{totals.oov_tokens}\n"
        f"Tokens:\t{totals.tokens}\n"
    ).encode()


SURPRISAL_HEADER = b"sentence_id\ttoken_id\ttoken\tsurprisal\n"


def surprisal_tsv(model: LanguageModel, unit: str, scored: Scored) -> bytes:
    """A line for each token, counted from 1 in each document, which is counted from 1 over all
    inputs; the surprisal in `unit`. The token is the text's own spelling. A document that is not
    scored is a line with its number alone.
    """
    factor, end_id, end_token = NATS_IN[unit], model.info.end_id, model.info.end_token
    lines = []
    for record, score in scored:
        if score is None:
            lines.append(f"{record.number}\t\t\t\n")
            continue
        assert score.starts is not None
        assert score.ends is not None
        columns = zip(
            score.ids.tolist(),
            score.starts,
            score.ends,
            (-factor * score.logprobs).tolist(),
            strict=True,
        )
        for position, (token, start, end, surprisal) in enumerate(columns, 1):
            word = end_token if token == end_id else escaped(score.text[start:end])
            lines.append(f"{record.number}\t{position}\t{word}\t{surprisal!r}\n")
    return "".join(lines).encode()
