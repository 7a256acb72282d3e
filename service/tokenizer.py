"""Text → ids and character offsets; ids → text.

A newline in a text is the token `<eos>`: lines are encoded one by one with the prefix token's id
between them. How a line is cut into tokens stands in the bundle's `tokenizer.json` alone.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tokenizers
from numpy.typing import NDArray

from service.bundle import Manifest
from service.errors import BundleError

Ids = NDArray[np.int64]

# A text is encoded in pieces of this many characters, which take about 2 ms each.
PIECE_CHARACTERS = 8192


@dataclass(frozen=True, slots=True)
class Encoding:
    """Ids (n,) and the tokens' spans in the text, in Unicode code points."""

    ids: Ids
    starts: list[int]
    ends: list[int]


class Tokenizer:
    def __init__(self, serialized: bytes, manifest: Manifest) -> None:
        """Raises BundleError for what is no tokenizer, or not this manifest's."""
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(serialized.decode())
        except Exception as error:  # the library raises bare Exception
            raise BundleError(f"tokenizer.json: {error}") from None
        self.vocabulary_size = manifest.vocabulary_size
        self.end_id = manifest.prefix_token_id
        self.unknown_id = manifest.unknown_token_id
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
        self.entries = _entries(self._tokenizer)
        self._ids = {entry: index for index, entry in enumerate(self.entries)}
        by_spelling = sorted(self._ids.items())
        self._sorted_entries = [entry for entry, _ in by_spelling]
        self._sorted_ids = np.array([index for _, index in by_spelling], np.int64)

    @property
    def special_ids(self) -> Ids:
        known = [i for i in (self.unknown_id, self.end_id) if i is not None]
        return np.array(known, np.int64)

    def encode(self, text: str) -> Encoding:
        ids: list[int] = []
        starts: list[int] = []
        ends: list[int] = []
        for offset, piece, ends_line in _pieces(text):
            encoded = self._tokenizer.encode(piece, add_special_tokens=False)
            ids += encoded.ids
            offsets = encoded.offsets
            starts += [start + offset for start, _ in offsets]
            ends += [end + offset for _, end in offsets]
            if ends_line:
                ids.append(self.end_id)
                starts.append(offset + len(piece))
                ends.append(offset + len(piece) + 1)
        return Encoding(np.array(ids, np.int64), starts, ends)

    def word_ids(self, word: str) -> list[int]:
        """Of one entry of the vocabulary its id, though it may never stand alone in a text, such
        as `'s`; of any other word the ids of its tokens.
        """
        known = self._ids.get(word)
        return self.encode(word).ids.tolist() if known is None else [known]

    def decode(self, ids: Ids) -> str:
        """Readable text; `<eos>` becomes a newline. Encoding it again gives the same ids for ids
        that came from a text.
        """
        text: str = self._tokenizer.decode(ids.tolist(), skip_special_tokens=False)
        return text

    def with_prefix(self, prefix: str) -> Ids:
        """Ids of all entries that start with `prefix`."""
        low = bisect_left(self._sorted_entries, prefix)
        high = bisect_right(self._sorted_entries, prefix + "\U0010ffff")
        return self._sorted_ids[low:high]


def _entries(tokenizer: tokenizers.Tokenizer) -> list[str]:
    """The vocabulary in the order of its ids. Raises BundleError where ids have gaps."""
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    if [index for _, index in vocabulary] != list(range(len(vocabulary))):
        raise BundleError("tokenizer.json: its ids are not 0, 1, 2 …")
    return [entry for entry, _ in vocabulary]


def _pieces(text: str) -> Iterator[tuple[int, str, bool]]:
    """Offset, text and whether a newline follows, for every line and every long line's parts.

    A long line is cut before white space, where no token is cut, so that encoding never holds
    the interpreter lock for long.
    """
    begin = 0
    while True:
        newline = text.find("\n", begin)
        line_end = len(text) if newline < 0 else newline
        while line_end - begin > PIECE_CHARACTERS:
            cut = _cut(text, begin + PIECE_CHARACTERS, line_end)
            yield begin, text[begin:cut], False
            begin = cut
        yield begin, text[begin:line_end], newline >= 0
        if newline < 0:
            return
        begin = newline + 1


def _cut(text: str, at: int, end: int) -> int:
    """The first place from `at` on where a space stands between two characters that are no white
    space. A space alone, for Python calls characters white space that tokenizers do not.
    """
    while at < end - 1:
        if text[at] == " " and not text[at - 1].isspace() and not text[at + 1].isspace():
            return at
        at += 1
    return end
