"""Encode a long line in chunks whose tokens together are those of the whole line.

One call of the library over a megabyte would hold the interpreter lock for a second, so that the
event loop would stand still. A chunk takes about 2 ms.

A chunk ends at a space between words. If a chunk has no such space, or words are several tokens, it
ends between two tokens instead, at least MARGIN_CHARACTERS before the end of the text that was
encoded, because the last tokens may change with the characters that follow. Tokens of whole words
may also depend on the characters before them. Therefore the next chunk is then encoded from a token
further back, and the tokens that were yielded already are dropped.

    chunk 1    =================......             = yielded, . dropped
    chunk 2                 ....=================......
                           start                      stop
                                begin
"""

from collections.abc import Callable, Iterator
from typing import Any

from service.errors import InputTooLong

CHUNK_CHARACTERS = 4096
# Tokens this far from both ends of a chunk are those of the whole line.
MARGIN_CHARACTERS = 64
# A chunk without a complete token is encoded again with this many times the characters.
GROWTH = 4

Spans = list[tuple[int, int]]
Chunk = tuple[int, list[int], Spans]  # offset in the text, ids (n,), spans (n,) after the offset


class LineEncoder:
    """The encoder of one line, `text[begin:end]`.

    `_start` is where the next chunk's characters start, `_begin` where its tokens do: all tokens
    before it were yielded.
    """

    def __init__(
        self,
        encode: Callable[[str], Any],
        text: str,
        begin: int,
        end: int,
        *,
        subword: bool,
        max_word: int,
    ) -> None:
        """`encode` returns the library's encoding of a text. With `subword`, words may be several
        tokens. A word may have `max_word` characters.
        """
        self._encode = encode
        self._text = text
        self._start = self._begin = begin
        self._end = end
        self._subword = subword
        self._max_word = max_word
        self._length = CHUNK_CHARACTERS

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks of the line. Raises InputTooLong for a word of too many characters."""
        while self._end - self._begin > self._length:
            stop = self._begin + self._length
            space = None if self._subword else self._space_after(stop)
            chunk = self._chunk_to_token(stop) if space is None else self._chunk_to_space(space)
            if chunk is not None:
                yield chunk
        yield self._chunk_to_space(self._end)

    def _space_after(self, stop: int) -> int | None:
        return next_space(self._text, stop, min(self._end, stop + CHUNK_CHARACTERS))

    def _chunk_to_space(self, stop: int) -> Chunk:
        """Return the tokens up to `stop`, where a space or the end of the line stands."""
        start, encoding = self._start, self._encode(self._text[self._start : stop])
        done = self._count_yielded(encoding.offsets)
        self._continue_at(stop, stop)
        return start, encoding.ids[done:], encoding.offsets[done:]

    def _chunk_to_token(self, stop: int) -> Chunk | None:
        """Return the tokens that the characters after `stop` cannot change.

        If there are none, return None: the next chunk is longer, or white space was skipped.
        """
        start, encoding = self._start, self._encode(self._text[self._start : stop])
        spans: Spans = encoding.offsets
        done = self._count_yielded(spans)
        if len(spans) == done and self._length > MARGIN_CHARACTERS:  # only white space
            self._start = self._begin = stop - MARGIN_CHARACTERS
            return None
        stable = count_stable(spans, encoding.word_ids, stop - start - MARGIN_CHARACTERS)
        if stable <= done:
            if self._length >= self._max_word:
                raise InputTooLong(f"a word is too long (at most {self._max_word} characters)")
            self._length = min(GROWTH * self._length, self._max_word)
            return None
        begin = start + spans[stable][0]
        independent = self._subword or self._text[begin - 1] == " "
        again = 0 if independent else begin - start - _start_before(spans, begin - start)
        self._continue_at(begin - again, begin)
        return start, encoding.ids[done:stable], spans[done:stable]

    def _continue_at(self, start: int, begin: int) -> None:
        self._start, self._begin, self._length = start, begin, CHUNK_CHARACTERS

    def _count_yielded(self, spans: Spans) -> int:
        overlap = self._begin - self._start
        return sum(start < overlap for start, _ in spans) if overlap else 0


def next_space(text: str, begin: int, end: int) -> int | None:
    """Return the first position of `text[begin:end]` with a space between two characters that are
    not white space, or None. Only the space counts, because Python calls characters white space
    that tokenizers do not.
    """
    while begin < end - 1:
        if text[begin] == " " and not text[begin - 1].isspace() and not text[begin + 1].isspace():
            return begin
        begin += 1
    return None


def count_stable(spans: Spans, word_ids: list[int], limit: int) -> int:
    """Return the number of tokens whose word ends before `limit` and is not the last one.

    The library calls the units that it tokenizes independently words.
    """
    count = min(sum(end <= limit for _, end in spans), len(word_ids) - 1)
    while count > 0 and word_ids[count] == word_ids[count - 1]:
        count -= 1
    return max(count, 0)


def _start_before(spans: Spans, position: int) -> int:
    """Return the start of the last token at least MARGIN_CHARACTERS before `position`, or 0."""
    return max((start for start, _ in spans if start <= position - MARGIN_CHARACTERS), default=0)
