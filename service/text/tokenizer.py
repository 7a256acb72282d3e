"""Text → ids and character offsets; ids → text.

A newline in a text, with or without a carriage return before it, is the token `<eos>`: lines are
encoded one by one with the prefix token's id between them. The bundle's `tokenizer.json` defines
how a line becomes tokens.

If a character is several tokens, each of them spans the whole character, so that `text[start:end]`
is always readable. Only there spans overlap:

    text      "a河"             河 is the bytes e6 b2 b3
    tokens    a     æ²    ³
    spans     0–1   1–2   1–2
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tokenizers

from service.arrays import Ids
from service.bundle import Manifest
from service.errors import BundleError
from service.limits import check_token_count
from service.text import line_encoder
from service.text.line_encoder import Chunk, LineEncoder
from service.text.tokenizer_check import check_encoding, check_growth
from service.text.tokenizer_kind import tokenizer_kind
from service.text.vocabulary import Vocabulary, is_byte_level

# Longer texts and more ids than these take over a millisecond: they are passed to the library as a
# batch of one, which releases the interpreter lock.
LOCKED_CHARACTERS = 2 * line_encoder.CHUNK_CHARACTERS + line_encoder.MARGIN_CHARACTERS
LOCKED_IDS = 1024


@dataclass(frozen=True, slots=True)
class Encoding:
    """Ids (n,) and the tokens' spans in the text, in Unicode code points."""

    ids: Ids
    starts: list[int]
    ends: list[int]


class Tokenizer:
    """The tokenizer of a bundle."""

    def __init__(self, serialized: bytes, manifest: Manifest) -> None:
        """Load a `tokenizer.json`.

        Raises BundleError if it cannot be loaded, cannot encode texts, or contradicts the manifest.
        """
        check_growth(serialized, manifest.vocabulary_size)
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(serialized.decode())
        except Exception as error:  # the library raises bare Exception
            raise BundleError(f"tokenizer.json: {str(error)[:200]}") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocabulary_size = manifest.vocabulary_size
        self.end_id = manifest.prefix_token_id
        self.unknown_id = manifest.unknown_token_id
        self.subword = manifest.subword
        self.kind = tokenizer_kind(serialized, subword=self.subword)
        self._check_sizes()
        self.vocabulary = Vocabulary(
            self._tokenizer.get_vocab(), self.end_id, byte_level=is_byte_level(serialized)
        )
        self.entries = self.vocabulary.entries
        check_encoding(self._encode_and_decode, self.vocabulary_size)

    def _check_sizes(self) -> None:
        entries = self._tokenizer.get_vocab_size()
        if entries != self.vocabulary_size:
            raise BundleError(
                f"tokenizer.json has {entries} entries, but manifest.json has vocabulary_size "
                f"{self.vocabulary_size}; export the bundle again"
            )
        special = {"prefix_token_id": self.end_id, "unknown_token_id": self.unknown_id}
        for name, index in special.items():
            if index is not None and index >= self.vocabulary_size:
                raise BundleError(
                    f"manifest.json, {name}: {index} is outside the vocabulary; "
                    "export the bundle again"
                )

    def _encode_and_decode(self, text: str) -> tuple[list[int], list[int]]:
        encoding = self.encode(text)
        self.decode(encoding.ids)
        return encoding.ids.tolist(), encoding.ends

    @property
    def special_ids(self) -> Ids:
        """The ids of `<unk>`, if there is one, and `<eos>`."""
        special = [i for i in (self.unknown_id, self.end_id) if i is not None]
        return np.array(special, np.int64)

    def encode(self, text: str, max_tokens: int = sys.maxsize) -> Encoding:
        """Return the tokens of a text.

        Raises InputTooLong as soon as there are more than `max_tokens`, or a word of more than
        `max_tokens` characters.
        """
        ids: list[int] = []
        starts: list[int] = []
        ends: list[int] = []
        begin = 0
        while True:
            newline = text.find("\n", begin)
            line_end = len(text) if newline < 0 else newline - text.endswith("\r", begin, newline)
            for offset, chunk_ids, spans in self._line_chunks(text, begin, line_end, max_tokens):
                ids += chunk_ids
                starts += [start + offset for start, _ in spans]
                ends += [end + offset for _, end in spans]
                check_token_count(len(ids), max_tokens)
            if newline < 0:
                return Encoding(np.array(ids, np.int64), starts, ends)
            ids.append(self.end_id)
            starts.append(line_end)
            ends.append(newline + 1)
            begin = newline + 1

    def _line_chunks(self, text: str, begin: int, end: int, max_word: int) -> Iterable[Chunk]:
        if end - begin <= line_encoder.CHUNK_CHARACTERS:
            encoding = self._encode(text[begin:end])
            return ((begin, encoding.ids, encoding.offsets),)
        return LineEncoder(
            self._encode, text, begin, end, subword=self.subword, max_word=max_word
        ).chunks()

    def _encode(self, text: str) -> Any:
        if len(text) <= LOCKED_CHARACTERS:
            return self._tokenizer.encode(text, add_special_tokens=False)
        return self._tokenizer.encode_batch([text], add_special_tokens=False)[0]

    def word_ids(self, word: str, max_tokens: int = sys.maxsize) -> list[int]:
        """Return the id of an entry of the vocabulary, even if it never stands alone in a text, as
        `'s`; for any other word the ids of its tokens. Raises InputTooLong as `encode` does.
        """
        known = self.vocabulary.find(word)
        return self.encode(word, max_tokens).ids.tolist() if known is None else [known]

    def decode(self, ids: Ids) -> str:
        """Return readable text, in which `<eos>` is a newline. If the ids came from a text,
        encoding the result gives the same ids.
        """
        if len(ids) <= LOCKED_IDS:
            text: str = self._tokenizer.decode(ids.tolist(), skip_special_tokens=False)
        else:
            (text,) = self._tokenizer.decode_batch([ids.tolist()], skip_special_tokens=False)
        return text
