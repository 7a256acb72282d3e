"""An n-gram model on the tokens of a bundle.

    python -m tests.programs.benchmarks.ngram BUNDLE --data DIR [--order 5]

Interpolated modified Kneser-Ney (Chen and Goodman 1999) as KenLM's `lmplz` estimates it (Heafield
et al. 2013), unpruned, from DIR's train split, over the same ids and with the same `<eos>` after
every line as for the bundle's model. Prints the perplexities of both on valid and test.
"""

import argparse
import math
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from service.bundle import Bundle
from service.runtime.startup import print_any_text
from service.text.tokenizer import Tokenizer
from train.data.splits import find_splits

BEGIN = -1  # the context before the first token of a line; never predicted
Gram = tuple[int, ...]


class KneserNey:
    """The model p(w | h) = max(c(hw) − D, 0) ÷ c(h·) + γ(h) p(w | h′), h′ a word shorter, to 1 ÷ V.

    The highest order counts n-grams, the others the words seen before them (n-grams that begin a
    line are counted as they are); D is one of three discounts by the count being 1, 2 or more.
    """

    def __init__(self, lines: Iterable[Sequence[int]], order: int, vocabulary_size: int) -> None:
        """Count the n-grams of `lines`, which hold ids and end with that of `<eos>`."""
        self.order = order
        self._uniform = 1 / vocabulary_size
        counts = self._adjusted(lines)
        self._discounts = [_discounts(table.values()) for table in counts]
        self._probabilities: list[dict[Gram, float]] = []  # the discounted share of each n-gram
        self._backoffs: list[dict[Gram, float]] = []  # γ(h)
        for table, discounts in zip(counts, self._discounts, strict=True):
            totals: defaultdict[Gram, int] = defaultdict(int)
            withheld: defaultdict[Gram, float] = defaultdict(float)
            for gram, count in table.items():
                totals[gram[:-1]] += count
                withheld[gram[:-1]] += discounts[min(count, 3)]
            self._probabilities.append(
                {
                    gram: (count - discounts[min(count, 3)]) / totals[gram[:-1]]
                    for gram, count in table.items()
                }
            )
            self._backoffs.append({head: withheld[head] / totals[head] for head in totals})

    def _adjusted(self, lines: Iterable[Sequence[int]]) -> list[Counter[Gram]]:
        counts: list[Counter[Gram]] = [Counter() for _ in range(self.order)]
        for line in lines:
            words = (BEGIN, *line)
            for end in range(2, len(words) + 1):
                begin = max(0, end - self.order)
                counts[end - begin - 1][words[begin:end]] += (
                    1  # full order, or from the start of the line
                )
        for size in range(self.order - 1, 0, -1):
            counts[size - 1].update(gram[1:] for gram in counts[size])
        return counts

    def probability(self, word: int, before: Sequence[int]) -> float:
        """Return p(word | the last words of `before`); a line starts with BEGIN."""
        found = self._uniform
        for size in range(self.order):
            if size > len(before):
                break
            head = tuple(before[len(before) - size :])
            backoff = self._backoffs[size].get(head)
            if backoff is None:
                break  # no longer context was seen
            found = self._probabilities[size].get((*head, word), 0.0) + backoff * found
        return found

    def cross_entropy(self, lines: Iterable[Sequence[int]]) -> tuple[float, int]:
        """Return total nats and the number of tokens, including `<eos>`."""
        total, tokens = 0.0, 0
        for line in lines:
            words = (BEGIN, *line)
            for at in range(1, len(words)):
                before = words[max(0, at - self.order + 1) : at]
                total -= math.log(self.probability(words[at], before))
            tokens += len(line)
        return total, tokens


def _discounts(counts: Iterable[int]) -> tuple[float, float, float, float]:
    """Return the discounts of counts 0, 1, 2 and more (Chen and Goodman's equation 26)."""
    n = Counter(min(count, 5) for count in counts)
    if not all(n[count] for count in (1, 2, 3, 4)):
        return 0.0, 0.5, 1.0, 1.5  # too little text to estimate them from
    y = n[1] / (n[1] + 2 * n[2])
    found = [count - (count + 1) * y * n[count + 1] / n[count] for count in (1, 2, 3)]
    return 0.0, found[0], found[1], found[2]


def main() -> int:
    print_any_text()
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.benchmarks.ngram", description=__doc__
    )
    parser.add_argument("bundle", type=Path, help="whose tokens they are")
    parser.add_argument("--data", type=Path, required=True, help="folder of train, valid and test")
    parser.add_argument("--order", type=int, default=5)
    options = parser.parse_args()
    bundle = Bundle.load(options.bundle)
    tokenizer = Tokenizer(bundle.contents["tokenizer.json"], bundle.manifest)
    splits, _ = find_splits(options.data)

    def lines(split: str) -> list[list[int]]:
        text = tqdm(splits[split].lines(), desc=f"reading {split}", unit=" lines", leave=False)
        return [[*tokenizer.encode(line).ids.tolist(), tokenizer.end_id] for line in text]

    begun = time.perf_counter()
    model = KneserNey(lines("train"), options.order, bundle.manifest.vocabulary_size)
    seconds = time.perf_counter() - begun
    print(f"{options.order}-gram, modified Kneser–Ney, {seconds:.0f} s to read and count")
    print("| split | tokens | perplexity | tokens/s |\n|---|---|---|---|")
    for split in ("valid", "test"):
        wanted = lines(split)
        begun = time.perf_counter()
        total, tokens = model.cross_entropy(wanted)
        speed = tokens / (time.perf_counter() - begun)
        print(f"| {split} | {tokens:,} | {math.exp(total / tokens):.2f} | {speed:,.0f} |")
    card = bundle.manifest.training
    for name in ("perplexity", "perplexity_by_sentence"):
        figures = ", ".join(f"{split} {value:.2f}" for split, value in card[name].items())
        print(f"{bundle.manifest.name}, by its card, {name}: {figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
