"""A unigram language model of pieces (Kudo 2018, https://arxiv.org/abs/1804.10959), in numpy.

A word's probability is the sum over all ways of cutting it into pieces of the product of their
probabilities. Expectation maximisation fits those; then the pieces that the text misses least are
given up, until few enough are left. The tokenizers library has a trainer for this, whose result
differs from run to run; here the same counts give the same pieces.

The ways of cutting all words are one graph, a node before, between and after the symbols of each:

    a b c        0 → 1 → 2 → 3      edges a, b, c and, where these are pieces, ab, bc and abc
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Indices = NDArray[np.int32]

# The most frequent words of so many symbols together are learned from; each costs a few edges.
MAX_SYMBOLS = 2_000_000
KEPT_PER_ROUND = 0.75
STEPS_PER_ROUND = 2
# What a symbol counts that the text has not.
FLOOR = 0.1
DECIMALS = 6


def fit_pieces(words: Mapping[str, int], seeds: list[str], size: int) -> dict[str, float]:
    """At most `size` of the seeds with their natural log-probabilities, most probable first.

    `words` are counted. Seeds of one symbol always stay; the words must be made of them.
    """
    ranked = sorted(words.items(), key=lambda entry: (-entry[1], entry[0]))
    symbols = np.cumsum([len(word) for word, _ in ranked])
    ranked = ranked[: max(1, int((symbols <= MAX_SYMBOLS).sum()))]
    lattice = _Lattice.of([word for word, _ in ranked], seeds)
    counts = np.array([count for _, count in ranked], np.float64)
    pieces = seeds
    expected = _summed(lattice.piece, counts[lattice.word], len(pieces))
    while True:
        for _ in range(STEPS_PER_ROUND):
            scores = _log_probabilities(expected)
            expected = lattice.expected(scores, counts)
        if len(pieces) <= size:
            break
        kept = _worth_keeping(pieces, expected, max(size, int(len(pieces) * KEPT_PER_ROUND)))
        pieces, expected = [pieces[i] for i in kept], expected[kept]
        lattice = lattice.without_others(kept)
    scores = _log_probabilities(expected)
    fitted = zip(pieces, scores.round(DECIMALS).tolist(), strict=True)
    return dict(sorted(fitted, key=lambda entry: (-entry[1], entry[0])))


def _summed(index: Indices, weights: Doubles, size: int) -> Doubles:
    return np.bincount(index, weights, size).astype(np.float64)


def _log_probabilities(expected: Doubles) -> Doubles:
    floored = np.maximum(expected, FLOOR)
    result: Doubles = np.log(floored / floored.sum())
    return result


def _worth_keeping(pieces: list[str], expected: Doubles, count: int) -> Indices:
    """Indices of the symbols, and of the pieces whose loss would cost the text most: how often
    one is used times how much less probable its best cut into other pieces is.
    """
    scores = dict(zip(pieces, _log_probabilities(expected).tolist(), strict=True))
    longest = max(map(len, pieces))
    costs = [
        math.inf if len(piece) == 1 else times * (scores[piece] - _best_cut(piece, scores, longest))
        for piece, times in zip(pieces, expected.tolist(), strict=True)
    ]
    order = sorted(range(len(pieces)), key=lambda i: (-costs[i], pieces[i]))
    return np.sort(np.array(order[:count], np.int32))


def _best_cut(piece: str, scores: Mapping[str, float], longest: int) -> float:
    """Log-probability of the best way to cut a piece into two or more."""
    best = [0.0] + [-math.inf] * len(piece)
    for end in range(1, len(piece) + 1):
        for begin in range(max(0, end - longest), end):
            part = piece[begin:end]
            if part in scores and part != piece:
                best[end] = max(best[end], best[begin] + scores[part])
    return best[-1]


@dataclass(frozen=True, slots=True)
class _Lattice:
    """Edges of all words (E,): which word, between which nodes, which piece. `first` and `last`
    are each word's outer nodes (W,).
    """

    word: Indices
    source: Indices
    target: Indices
    piece: Indices
    first: Indices
    last: Indices

    @classmethod
    def of(cls, words: list[str], pieces: list[str]) -> "_Lattice":
        index = {piece: i for i, piece in enumerate(pieces)}
        longest = max(map(len, pieces))
        edges = (
            (number, begin, end, found)
            for number, word in enumerate(words)
            for begin in range(len(word))
            for end in range(begin + 1, min(begin + longest, len(word)) + 1)
            if (found := index.get(word[begin:end])) is not None
        )
        table = np.fromiter(edges, np.dtype((np.int32, 4)))
        number, begin, end, piece = np.ascontiguousarray(table.T)
        lengths = np.array([len(word) + 1 for word in words], np.int32)
        first = np.cumsum(lengths, dtype=np.int32) - lengths
        offset = first[number]
        return cls(number, offset + begin, offset + end, piece, first, first + lengths - 1)

    def without_others(self, kept: Indices) -> "_Lattice":
        """Of the pieces `kept` alone, numbered anew."""
        renumbered = np.full(max(int(self.piece.max()), int(kept.max())) + 1, -1, np.int32)
        renumbered[kept] = np.arange(len(kept))
        piece = renumbered[self.piece]
        stays = piece >= 0
        return _Lattice(
            self.word[stays],
            self.source[stays],
            self.target[stays],
            piece[stays],
            self.first,
            self.last,
        )

    def expected(self, scores: Doubles, counts: Doubles) -> Doubles:
        """How often each piece is used, over all cuts by their probability (P,)."""
        edge = scores[self.piece]
        before = self._sums(self.source, self.target, edge, self.target - self.first[self.word])
        after = self._sums(self.target, self.source, edge, self.last[self.word] - self.source)
        total = before[self.last][self.word]
        share = np.exp(before[self.source] + edge + after[self.target] - total)
        return _summed(self.piece, share * counts[self.word], len(scores))

    def _sums(self, source: Indices, target: Indices, edge: Doubles, distance: Indices) -> Doubles:
        """Log of the summed probabilities of all ways to each node, from the side that `distance`
        counts from, all words side by side.
        """
        reached = np.zeros(int(self.last[-1]) + 1)
        order = np.lexsort((target, distance))
        source, target, edge = source[order], target[order], edge[order]
        steps = np.flatnonzero(np.diff(distance[order], prepend=0, append=-1))
        for low, high in zip(steps[:-1].tolist(), steps[1:].tolist(), strict=True):
            nodes = target[low:high]
            heads = np.flatnonzero(np.diff(nodes, prepend=-1))
            ways = reached[source[low:high]] + edge[low:high]
            reached[nodes[heads]] = np.logaddexp.reduceat(ways, heads)
        return reached
