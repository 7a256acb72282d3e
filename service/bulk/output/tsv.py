"""TSV that pandas, R's read.delim and awk read as the same cells.

A text is escaped as in JSON: `json.loads(f'"{cell}"')` returns the text. Escaped are

- backslashes, tabs, line ends and other control characters: `\\\\`, `\\t`, `\\n`, `\\r`, `\\u0000`;
- quotes, as `\\u0022`, because pandas and R join the lines up to the next quote, and awk does not;
- the first character of a text that pandas or R reads as a missing value: `\\u004eA` for `NA`.
"""

import re
from collections.abc import Callable, Iterable

from service.bulk.input.json_line import Id, as_text
from service.bulk.output.rows import Row, ScoredDocuments
from service.language_model import LanguageModel
from service.scoring import NATS_IN

SHORT_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
# The characters above, other control characters (Cc), and line ends of Unicode. C strings end at a
# NUL, and Python's splitlines() splits at the others.
ESCAPED = re.compile('[\\\\"\x00-\x1f\x7f-\x9f\u2028\u2029]')
# pandas.io.parsers.readers.STR_NA_VALUES in any case. R has only NA.
MISSING_VALUES = frozenset(
    {"na", "<na>", "n/a", "#n/a", "#n/a n/a", "#na", "nan", "-nan", "null", "none"}
    | {"1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}
)
SURPRISAL_HEADER = b"sentence_id\ttoken_id\ttoken\tsurprisal\n"


def escape(text: str) -> str:
    """Return the cell of a text."""
    if text.lower() in MISSING_VALUES:
        return _escape_character(text[0]) + text[1:]
    return ESCAPED.sub(lambda match: _escape_character(match[0]), text)


def _escape_character(character: str) -> str:
    return SHORT_ESCAPES.get(character, f"\\u{ord(character):04x}")


def header(names: list[str]) -> bytes:
    return ("\t".join(names) + "\n").encode()


def row_encoder(names: list[str]) -> Callable[[Iterable[Row]], bytes]:
    """Return a function that encodes rows as lines of these columns.

    Null is an empty cell, and figures are exact.
    """

    def encode(rows: Iterable[Row]) -> bytes:
        lines = ("\t".join(_cell(row.get(name)) for name in names) + "\n" for row in rows)
        return "".join(lines).encode()

    return encode


def _cell(value: Id) -> str:
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        return repr(value)
    return escape(as_text(value) or "")


def surprisals(model: LanguageModel, unit: str, scored: ScoredDocuments) -> bytes:
    """Return a line for each token: document number, token number, token, surprisal in `unit`.

    Documents are counted from 1 over all inputs, tokens from 1 in each document. The token is
    written as it is in the text. A document that is not scored has one line, with its number only.
    """
    factor, end_id, end_token = NATS_IN[unit], model.info.end_id, model.info.end_token
    lines = []
    for document, score in scored:
        if score is None:
            lines.append(f"{document.number}\t\t\t\n")
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
            word = end_token if token == end_id else escape(score.text[start:end])
            lines.append(f"{document.number}\t{position}\t{word}\t{surprisal!r}\n")
    return "".join(lines).encode()
