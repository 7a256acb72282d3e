"""Results as plain rows, in which ids have become text."""

from collections.abc import Iterator

from service.results.next_token import NextTokenResult, next_token_rows
from service.results.text_score import TextScore
from service.results.token_rows import Row, RowOptions, token_rows, word_rows
from service.text.detokenizer import IncrementalDetokenizer, detokenizer_of
from service.text.token_starts import token_starts
from service.text.tokenized_text import TokenizedText
from service.text.tokenizer import Tokenizer


class ResultRows:
    """The tokenizer's side of results: rows of tokens and words, names and texts of tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @property
    def names(self) -> list[str]:
        """The text of each id by itself; bytes that are no character are written `bytes:\\xNN`."""
        return self._tokenizer.vocabulary.names

    def tokens(self, score: TextScore, options: RowOptions, block: int) -> Iterator[list[Row]]:
        """Yield the rows of a text's tokens, `block` of them at a time."""
        return token_rows(self._tokenizer, score, options, block)

    def words(self, score: TextScore, unit: str, block: int) -> Iterator[list[Row]]:
        """Yield the rows of a text's words, `block` of them at a time. Needs offsets."""
        return word_rows(score, self._tokenizer.end_id, unit, block)

    def next_tokens(self, result: NextTokenResult) -> tuple[list[Row], list[Row]]:
        """Return the rows of the listed tokens and those of the candidates."""
        return next_token_rows(self._tokenizer, result)

    def detokenizer(self, prompt: TokenizedText) -> IncrementalDetokenizer:
        """Return a detokenizer of the tokens that are generated after `prompt`."""
        return detokenizer_of(self._tokenizer, prompt.ids)

    def token_starts(self, text: TokenizedText) -> list[int]:
        """Return the offset of each token in `text.text`, in code points."""
        return token_starts(self._tokenizer, text)
