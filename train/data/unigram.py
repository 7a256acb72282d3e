"""The unigram model of subwords (Kudo 2018, https://arxiv.org/abs/1804.10959), in numpy.

The probability of a word is the sum, over all its segmentations into subwords, of the product of
their probabilities. Expectation maximisation fits these. Then the subwords whose loss costs the
text least are removed, and so on until `size` are left. The trainer of the tokenizers library gives
another result in every run. Here the same counts give the same subwords.

The segmentations of all words are one graph, with a node before, between and after the symbols:

    a b c        0 → 1 → 2 → 3      edges a, b, c and, if they are subwords, ab, bc and abc
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Indices = NDArray[np.int32]

# Only the most frequent words are used, up to this number of symbols: each costs a few edges.
MAX_SYMBOLS = 2_000_000
KEPT_PER_ROUND = 0.75
STEPS_PER_ROUND = 2
FLOOR = 0.1  # the count of a symbol that the text lacks
DECIMALS = 6


def fit_subwords(words: Mapping[str, int], seeds: list[str], size: int) -> dict[str, float]:
    """Return at most `size` of the seeds with their natural log-probabilities, most probable first.

    `words` maps words to counts. Seeds of one symbol are always kept. Together they must spell all
    words.
    """
    ranked = sorted(words.items(), key=lambda entry: (-entry[1], entry[0]))
    symbols = np.cumsum([len(word) for word, _ in ranked])
    ranked = ranked[: max(1, int((symbols <= MAX_SYMBOLS).sum()))]
    lattice = _Lattice.of([word for word, _ in ranked], seeds)
    counts = np.array([count for _, count in ranked], np.float64)
    subwords = seeds
    expected = _summed(lattice.subword, counts[lattice.word], len(subwords))
    while True:
        for _ in range(STEPS_PER_ROUND):
            scores = _log_probabilities(expected)
            expected = lattice.expected(scores, counts)
        if len(subwords) <= size:
            break
        kept = _most_useful(subwords, expected, max(size, int(len(subwords) * KEPT_PER_ROUND)))
        subwords, expected = [subwords[i] for i in kept], expected[kept]
        lattice = lattice.restrict(kept)
    scores = _log_probabilities(expected)
    fitted = zip(subwords, scores.round(DECIMALS).tolist(), strict=True)
    return dict(sorted(fitted, key=lambda entry: (-entry[1], entry[0])))


def _summed(index: Indices, weights: Doubles, size: int) -> Doubles:
    return np.bincount(index, weights, size).astype(np.float64)


def _log_probabilities(expected: Doubles) -> Doubles:
    floored = np.maximum(expected, FLOOR)
    result: Doubles = np.log(floored / floored.sum())
    return result


def _most_useful(subwords: list[str], expected: Doubles, count: int) -> Indices:
    """Return the indices of all symbols, and of the subwords whose loss would cost the text most.

    The cost is the expected count of a subword times the log-probability that its best segmentation
    into other subwords loses.
    """
    scores = dict(zip(subwords, _log_probabilities(expected).tolist(), strict=True))
    longest = max(map(len, subwords))
    costs = [
        math.inf
        if len(subword) == 1
        else times * (scores[subword] - _best_segmentation(subword, scores, longest))
        for subword, times in zip(subwords, expected.tolist(), strict=True)
    ]
    order = sorted(range(len(subwords)), key=lambda i: (-costs[i], subwords[i]))
    return np.sort(np.array(order[:count], np.int32))


def _best_segmentation(subword: str, scores: Mapping[str, float], longest: int) -> float:
    """Return the log-probability of the best segmentation of a subword into two or more."""
    best = [0.0] + [-math.inf] * len(subword)
    for end in range(1, len(subword) + 1):
        for begin in range(max(0, end - longest), end):
            part = subword[begin:end]
            if part in scores and part != subword:
                best[end] = max(best[end], best[begin] + scores[part])
    return best[-1]


@dataclass(frozen=True, slots=True)
class _Lattice:
    """The edges of all words: their word, source node, target node and subword, each (E,). `first`
    and `last` are the outer nodes of each word (W,).
    """

    word: Indices
    source: Indices
    target: Indices
    subword: Indices
    first: Indices
    last: Indices

    @classmethod
    def of(cls, words: list[str], subwords: list[str]) -> "_Lattice":
        index = {subword: i for i, subword in enumerate(subwords)}
        longest = max(map(len, subwords))
        edges = (
            (number, begin, end, found)
            for number, word in enumerate(words)
            for begin in range(len(word))
            for end in range(begin + 1, min(begin + longest, len(word)) + 1)
            if (found := index.get(word[begin:end])) is not None
        )
        table = np.fromiter(edges, np.dtype((np.int32, 4)))
        number, begin, end, subword = np.ascontiguousarray(table.T)
        lengths = np.array([len(word) + 1 for word in words], np.int32)
        first = np.cumsum(lengths, dtype=np.int32) - lengths
        offset = first[number]
        return cls(number, offset + begin, offset + end, subword, first, first + lengths - 1)

    def restrict(self, kept: Indices) -> "_Lattice":
        """Return the lattice of the subwords `kept` alone, with new indices."""
        renumbered = np.full(max(int(self.subword.max()), int(kept.max())) + 1, -1, np.int32)
        renumbered[kept] = np.arange(len(kept))
        subword = renumbered[self.subword]
        stays = subword >= 0
        return _Lattice(
            self.word[stays],
            self.source[stays],
            self.target[stays],
            subword[stays],
            self.first,
            self.last,
        )

    def expected(self, scores: Doubles, counts: Doubles) -> Doubles:
        """Return the expected count of each subword (P,), over all segmentations."""
        edge = scores[self.subword]
        before = self._sums(self.source, self.target, edge, self.target - self.first[self.word])
        after = self._sums(self.target, self.source, edge, self.last[self.word] - self.source)
        total = before[self.last][self.word]
        share = np.exp(before[self.source] + edge + after[self.target] - total)
        return _summed(self.subword, share * counts[self.word], len(scores))

    def _sums(self, source: Indices, target: Indices, edge: Doubles, distance: Indices) -> Doubles:
        """Return the log of the summed probabilities of all paths to each node, for all words at
        once.

        The paths start at the side of the word from which `distance` counts.
        """
        reached = np.zeros(int(self.last[-1]) + 1)
        order = np.lexsort((target, distance))
        source, target, edge = source[order], target[order], edge[order]
        steps = np.flatnonzero(np.diff(distance[order], prepend=0, append=-1))
        for low, high in zip(steps[:-1].tolist(), steps[1:].tolist(), strict=True):
            nodes = target[low:high]
            heads = np.flatnonzero(np.diff(nodes, prepend=-1))
            paths = reached[source[low:high]] + edge[low:high]
            reached[nodes[heads]] = np.logaddexp.reduceat(paths, heads)
        return reached
