"""What `score` answers. Names are those of the wire."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    id: int
    text: str
    logprob: float
    surface: str = ""
    """What the token adds to the text before it; `<eos>` a newline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScore:
    """One token of a text. Those that default to None are so unless they were asked for."""

    id: int
    text: str
    """The vocabulary's entry."""
    start: int | None
    """In Unicode code points; None for `token_ids`, as `end`. Where a character is several tokens,
    each spans all of it."""
    end: int | None
    logprob: float | None
    """Natural; None for a first token that nothing stood before."""
    cross_entropy: float | None
    """−log probability, in the result's unit."""
    oov: bool
    rank: int | None = None
    """1 is the most probable token."""
    entropy: float | None = None
    """Of the distribution that the token was drawn from, in the result's unit."""
    soft_cross_entropy: float | None = None
    """−Σ p log q over the soft target p, in the result's unit."""
    anomalous: bool | None = None
    top: tuple[Alternative, ...] | None = None
    surface: str = ""
    """The piece of the text, `text[start:end]` as it was sent; for `token_ids` as they decode.
    Nothing at the end of a text, and from a service that does not send it yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordScore:
    """A word between white space, by the sums of its tokens. White space counts for the word that
    follows it, at the end of the text for the last; `<eos>` for none.
    """

    text: str
    start: int
    end: int
    logprob: float | None
    """Natural; None where none of its tokens was scored."""
    cross_entropy: float | None
    token_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregates:
    """Totals over the scored tokens, and totals divided by a count, in the result's unit.

    A mean over nothing is None, and so is a perplexity beyond the largest double.
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
    """Words between white space, the same for any tokenizer. With `bos=False` those after the
    unscored first token; its bytes and characters are not counted either."""
    cross_entropy_per_word: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextResult(Aggregates):
    tokens: tuple[TokenScore, ...] = ()
    """Nothing with `tokens=False`."""
    words: tuple[WordScore, ...] = ()
    """Of a model whose words are several tokens; nothing with `tokens=False` or `token_ids`."""
    percentile: float | None = None
    """0 to 100, among the texts of the calibration that was asked for."""
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    model: str
    unit: str
    vocabulary_size: int
    results: tuple[TextResult, ...]
    """One a text, in the order of the texts."""
    summary: Aggregates
    """Over all texts together."""

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row a token, in the order of texts and tokens; its `attrs` name model and unit.

        Columns: text_index, position (both from 0), id, text, surface, start, end, logprob,
        cross_entropy, oov; and rank, entropy, soft_cross_entropy, anomalous if they were asked
        for.

        Raises ImportError without pandas, and ValueError if the score was asked for with
        `tokens=False`.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("to_dataframe needs pandas: pip install pandas") from None
        rows = [
            (text_index, position, token)
            for text_index, result in enumerate(self.results)
            for position, token in enumerate(_tokens(result))
        ]
        columns = {
            "text_index": pandas.Series([row[0] for row in rows], dtype="int64"),
            "position": pandas.Series([row[1] for row in rows], dtype="int64"),
        }
        for name, dtype in COLUMNS.items():
            values = [getattr(token, name) for _, _, token in rows]
            if name not in ASKED_FOR or any(value is not None for value in values):
                columns[name] = pandas.Series(values, dtype=dtype)
        frame = pandas.DataFrame(columns)
        frame.attrs = {"model": self.model, "unit": self.unit}
        return frame


# With a capital letter a dtype has a place for what is missing.
COLUMNS = {
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
ASKED_FOR = {"rank", "entropy", "soft_cross_entropy", "anomalous"}


def _tokens(result: TextResult) -> tuple[TokenScore, ...]:
    if result.token_count and not result.tokens:
        raise ValueError("there are no tokens in it: score with tokens=True")
    return result.tokens
