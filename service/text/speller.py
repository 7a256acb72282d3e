"""The characters that one token after another adds to a text."""

import codecs

from service.text.tokenizer import Tokenizer

FIRST_CONTINUATION_BYTE, LAST_CONTINUATION_BYTE = 0x80, 0xBF


class Speller:
    """An incremental UTF-8 decoder of tokens' spellings."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._spellings = tokenizer.vocabulary.spellings
        self._end_id = tokenizer.end_id
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def pending_bytes(self) -> bytes:
        """The bytes of a character that is not complete yet."""
        return self._decoder.getstate()[0]

    def spell(self, token: int) -> tuple[str, str]:
        """Return what a token adds: first `\ufffd` for each incomplete character that it does not
        continue, then the characters that it completes.
        """
        spelling = b"\n" if token == self._end_id else self._spellings[token]
        continues = FIRST_CONTINUATION_BYTE <= spelling[0] <= LAST_CONTINUATION_BYTE
        broken = "" if continues else self._decoder.decode(b"", final=True)
        return broken, self._decoder.decode(spelling)
