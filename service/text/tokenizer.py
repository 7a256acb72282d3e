"""Text → ids and character offsets; ids → text.

A newline in a text, with or without a carriage return before it, is the token `<eos>`: lines are
encoded one by one with the prefix token's id between them. How a line is cut into tokens stands in
the bundle's `tokenizer.json` alone.

Where a character is several tokens, each of them spans all of it, so that `text[start:end]` is
always something to read; spans overlap there, and nowhere else:

    text      "a河"             河 is the bytes e6 b2 b3
    tokens    a     æ²    ³
    spans     0–1   1–2   1–2
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tokenizers

from service.arrays import Ids
from service.bundle import Manifest
from service.errors import BundleError, InputTooLong
from service.limits import check_count
from service.text.tokenizer_check import check_growth, check_reading
from service.text.vocabulary import Vocabulary, over_bytes

# A text is encoded in pieces of this many characters, which take about 2 ms each.
PIECE_CHARACTERS = 4096
# What stands so far before the end of a piece, or after its beginning, is cut as in the whole line.
MARGIN_CHARACTERS = 64
# Decoding so many ids takes less than a millisecond.
PIECE_IDS = 1024

Spans = list[tuple[int, int]]
Kind = Literal["words", "whitespace", "char", "bpe", "unigram"]


@dataclass(frozen=True, slots=True)
class Encoding:
    """Ids (n,) and the tokens' spans in the text, in Unicode code points."""

    ids: Ids
    starts: list[int]
    ends: list[int]


class Tokenizer:
    def __init__(self, serialized: bytes, manifest: Manifest) -> None:
        """Raises BundleError for what is no tokenizer, or not this manifest's."""
        check_growth(serialized, manifest.vocabulary_size)
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(serialized.decode())
        except Exception as error:  # the library raises bare Exception
            raise BundleError(f"tokenizer.json: {str(error)[:200]}") from None
        # A text has the tokens that it has: none are cut off, none are put behind them.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocabulary_size = manifest.vocabulary_size
        self.end_id = manifest.prefix_token_id
        self.unknown_id = manifest.unknown_token_id
        self.subword = manifest.subword
        self.kind = _kind(serialized, self.subword)
        if self._tokenizer.get_vocab_size() != self.vocabulary_size:
            raise BundleError(
                f"tokenizer.json has {self._tokenizer.get_vocab_size()} entries, "
                f"the manifest says {self.vocabulary_size}"
            )
        for name, index in (
            ("prefix_token_id", self.end_id),
            ("unknown_token_id", self.unknown_id),
        ):
            if index is not None and index >= self.vocabulary_size:
                raise BundleError(f"manifest.json, {name}: {index} is outside the vocabulary")
        self.vocabulary = Vocabulary(
            self._tokenizer.get_vocab(), self.end_id, over_bytes=over_bytes(serialized)
        )
        self.entries = self.vocabulary.entries
        check_reading(self._probe, self.vocabulary_size)

    def _probe(self, text: str) -> tuple[list[int], list[int]]:
        encoding = self.encode(text)
        self.decode(encoding.ids)
        return encoding.ids.tolist(), encoding.ends

    @property
    def special_ids(self) -> Ids:
        known = [i for i in (self.unknown_id, self.end_id) if i is not None]
        return np.array(known, np.int64)

    def encode(self, text: str, most: int = sys.maxsize) -> Encoding:
        """Raises InputTooLong as soon as there are more than `most` tokens, or a word of more than
        so many characters.
        """
        ids: list[int] = []
        starts: list[int] = []
        ends: list[int] = []
        begin = 0
        while True:
            newline = text.find("\n", begin)
            line_end = len(text) if newline < 0 else newline - text.endswith("\r", begin, newline)
            for offset, piece_ids, spans in self._pieces(text, begin, line_end, most):
                ids += piece_ids
                starts += [start + offset for start, _ in spans]
                ends += [end + offset for _, end in spans]
                check_count(len(ids), most)
            if newline < 0:
                return Encoding(np.array(ids, np.int64), starts, ends)
            ids.append(self.end_id)
            starts.append(line_end)
            ends.append(newline + 1)
            begin = newline + 1

    def _pieces(
        self, text: str, begin: int, end: int, longest: int
    ) -> Iterator[tuple[int, list[int], Spans]]:
        """Offset, ids and spans of a line's parts, which together are those of the whole line;
        so encoding never holds the interpreter lock for long. Raises InputTooLong where a run of
        more than `longest` characters is no tokens and no white space.

        A part ends at a space between words. Where there is none, or words are several tokens, it
        ends at a token. Tokens of whole words may depend on what stands before them: there the next
        part is read from `left`, a token further back, and what was known is dropped.
        """
        left, length = begin, PIECE_CHARACTERS
        while end - begin > length:
            stop = begin + length
            cut = None if self.subword else _cut(text, stop, min(end, stop + PIECE_CHARACTERS))
            encoded = self._encode(text[left : cut or stop])
            ids, spans = encoded.ids, encoded.offsets
            known = sum(start < begin - left for start, _ in spans)
            if cut:
                yield left, ids[known:], spans[known:]
                left = begin = cut
                length = PIECE_CHARACTERS
                continue
            kept = _settled(spans, encoded.word_ids, stop - left - MARGIN_CHARACTERS)
            if len(ids) == known and length > MARGIN_CHARACTERS:  # white space
                left = begin = stop - MARGIN_CHARACTERS
                continue
            if kept <= known:
                if length >= longest:
                    message = f"a word is too long; at most {longest} characters are allowed"
                    raise InputTooLong(message)
                length = min(4 * length, longest)
                continue
            yield left, ids[known:kept], spans[known:kept]
            begin = left + spans[kept][0]
            alone = self.subword or text[begin - 1] == " "
            left = begin if alone else left + _before(spans, begin - left)
            length = PIECE_CHARACTERS
        encoded = self._encode(text[left:end])
        known = sum(start < begin - left for start, _ in encoded.offsets)
        yield left, encoded.ids[known:], encoded.offsets[known:]

    def _encode(self, piece: str) -> Any:
        if len(piece) <= 2 * PIECE_CHARACTERS + MARGIN_CHARACTERS:
            return self._tokenizer.encode(piece, add_special_tokens=False)
        # A word as long as that takes a while; a batch of one releases the interpreter lock.
        return self._tokenizer.encode_batch([piece], add_special_tokens=False)[0]

    def word_ids(self, word: str, most: int = sys.maxsize) -> list[int]:
        """Of one entry of the vocabulary its id, though it may never stand alone in a text, such
        as `'s`; of any other word the ids of its tokens. Raises InputTooLong beyond `most`.
        """
        known = self.vocabulary.find(word)
        return self.encode(word, most).ids.tolist() if known is None else [known]

    def decode(self, ids: Ids) -> str:
        """Readable text; `<eos>` becomes a newline. Encoding it again gives the same ids for ids
        that came from a text.
        """
        if len(ids) <= PIECE_IDS:
            text: str = self._tokenizer.decode(ids.tolist(), skip_special_tokens=False)
        else:  # a batch of one releases the interpreter lock
            (text,) = self._tokenizer.decode_batch([ids.tolist()], skip_special_tokens=False)
        return text


def _kind(serialized: bytes, subword: bool) -> Kind:
    """Name the kind of a `tokenizer.json` as the trainer's configuration does."""
    content: Any = json.loads(serialized)
    model = _model_type(content["model"])
    if model == "BPE":
        return "bpe"
    if model == "Unigram":
        return "unigram"
    if subword:
        return "char"
    split = content.get("pre_tokenizer") or {}
    return "whitespace" if split.get("type") == "WhitespaceSplit" else "words"


def _model_type(model: Any) -> str:
    """Return the type of a tokenizer's model, which files of older libraries do not name."""
    if "type" in model:
        return str(model["type"])
    if "merges" in model:
        return "BPE"
    return "Unigram" if isinstance(model.get("vocab"), list) else "WordLevel"


def _settled(spans: Spans, words: list[int], limit: int) -> int:
    """How many tokens are of runs that end before `limit`. A run, which the library calls a word,
    is what is cut into tokens by itself.
    """
    count = min(sum(end <= limit for _, end in spans), len(words) - 1)
    while count > 0 and words[count] == words[count - 1]:
        count -= 1
    return max(count, 0)


def _cut(text: str, at: int, end: int) -> int | None:
    """The first place from `at` on where a space stands between two characters that are no white
    space, so that no word is cut; None where there is none before `end`. A space alone, for Python
    calls characters white space that tokenizers do not.
    """
    while at < end - 1:
        if text[at] == " " and not text[at - 1].isspace() and not text[at + 1].isspace():
            return at
        at += 1
    return None


def _before(spans: Spans, at: int) -> int:
    """Where the last token begins that stands far enough before `at`, or else the text."""
    return max((start for start, _ in spans if start <= at - MARGIN_CHARACTERS), default=0)
