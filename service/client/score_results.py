"""Results of `score`. Field names are those of the wire."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One of the `top` most probable tokens at a position."""

    id: int
    text: str
    logprob: float
    surface: str = ""
    """The text that the token appends; for `<eos>` a newline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScore:
    """One token of a text. Fields that default to None are None unless the request adds them."""

    id: int
    text: str
    """The entry of the vocabulary."""
    start: int | None
    """In Unicode code points, like `end`; both are None for `token_ids`. If a character is several
    tokens, each of them spans the whole character."""
    end: int | None
    logprob: float | None
    """Natural; None for a first token without a predecessor."""
    cross_entropy: float | None
    """−log probability, in the result's unit."""
    oov: bool
    rank: int | None = None
    """1 for the most probable token."""
    entropy: float | None = None
    """Of the model's distribution at this position, in the result's unit."""
    soft_cross_entropy: float | None = None
    """−Σ p log q over the soft target p, in the result's unit."""
    anomalous: bool | None = None
    top: tuple[Alternative, ...] | None = None
    surface: str = ""
    """The characters of the text, `text[start:end]`; for `token_ids` the decoded token. Empty for
    the end of a text, and if the service is older than this field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordScore:
    """A word between white space, with the sums of its tokens. White space counts for the word
    after it, or for the last word at the end of the text; `<eos>` counts for no word.
    """

    text: str
    start: int
    end: int
    logprob: float | None
    """Natural; None if none of its tokens was scored."""
    cross_entropy: float | None
    token_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregates:
    """Totals over the scored tokens, and totals divided by a count, in the result's unit.

    A mean over nothing is None, and so is a perplexity larger than a double.
    """

    token_count: int
    oov_count: int
    total_cross_entropy: float
    mean_cross_entropy: float | None
    perplexity: float | None
    perplexity_excluding_oov: float | None
    cross_entropy_per_byte: float | None
    cross_entropy_per_character: float | None
    word_count: int
    """Words between white space, the same for every tokenizer. With `bos=False` only the words
    after the unscored first token, whose bytes and characters are not counted either."""
    cross_entropy_per_word: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextResult(Aggregates):
    """The score of one text."""

    tokens: tuple[TokenScore, ...] = ()
    """Empty with `tokens=False`."""
    words: tuple[WordScore, ...] = ()
    """For models whose words are several tokens; empty with `tokens=False` or `token_ids`."""
    percentile: float | None = None
    """0 to 100, among the texts of the requested calibration table."""
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """The scores of all texts of a request."""

    model: str
    unit: str
    vocabulary_size: int
    results: tuple[TextResult, ...]
    """One per text, in the order of the texts."""
    summary: Aggregates
    """Over all texts together."""

    def to_dataframe(self) -> "pandas.DataFrame":
        """Return one row per token, in the order of texts and tokens. `attrs` has model and unit.

        >>> frame = client.score(texts=["One text.", "Another."], details=True).to_dataframe()

        Columns: text_index, position (both from 0), id, text, surface, start, end, logprob,
        cross_entropy, oov; and rank, entropy, soft_cross_entropy and anomalous if the request
        added them.

        Raises ImportError without pandas, and ValueError if the request had `tokens=False`.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("to_dataframe needs pandas; run pip install pandas") from None
        rows = [
            (text_index, position, token)
            for text_index, result in enumerate(self.results)
            for position, token in enumerate(_tokens(result))
        ]
        columns = {
            "text_index": pandas.Series([row[0] for row in rows], dtype="int64"),
            "position": pandas.Series([row[1] for row in rows], dtype="int64"),
        }
        for name, dtype in COLUMN_DTYPES.items():
            values = [getattr(token, name) for _, _, token in rows]
            if name not in OPTIONAL_COLUMNS or any(value is not None for value in values):
                columns[name] = pandas.Series(values, dtype=dtype)
        frame = pandas.DataFrame(columns)
        frame.attrs = {"model": self.model, "unit": self.unit}
        return frame


# Int64 and boolean, unlike int64 and bool, can hold missing values.
COLUMN_DTYPES = {
    "id": "int64",
    "text": "string",
    "surface": "string",
    "start": "Int64",
    "end": "Int64",
    "logprob": "float64",
    "cross_entropy": "float64",
    "oov": "bool",
    "rank": "Int64",
    "entropy": "float64",
    "soft_cross_entropy": "float64",
    "anomalous": "boolean",
}
OPTIONAL_COLUMNS = {"rank", "entropy", "soft_cross_entropy", "anomalous"}


def _tokens(result: TextResult) -> tuple[TokenScore, ...]:
    if result.token_count and not result.tokens:
        raise ValueError("the result has no tokens; score with tokens=True")
    return result.tokens
