"""A corpus of any size, written in seconds: one block of text, repeated with new rare words.

Words follow Zipf's law. One in a hundred occurs in one block alone, so that the vocabulary grows
with the text, as in natural text: 1 GB holds about 1.5 million different words.
"""

import random
from itertools import accumulate, product
from pathlib import Path

BLOCK_BYTES = 1_000_000
HELD_OUT_BYTES = 20_000
FREQUENT_WORDS = 30_000
ONE_RARE_IN = 100
MARK = (
    "qqqq"  # no other word has a q; a rare word ends in it, and each block replaces it by letters
)
LETTERS = "abcdefghijklmnop"


def write_corpus(folder: Path, megabytes: float) -> Path:
    """Write `train.txt` of `size` and small `valid.txt` and `test.txt`, the same at every call."""
    folder.mkdir(parents=True)
    text = _block()
    size = round(megabytes * 1e6)
    with (folder / "train.txt").open("wb") as file:
        for number in range(-(-size // BLOCK_BYTES)):
            name = "".join(LETTERS[number >> shift & 15] for shift in (0, 4, 8, 12))
            block = text.replace(MARK.encode(), name.encode())[: size - file.tell()]
            file.write(block)
    for split in ("valid", "test"):
        (folder / f"{split}.txt").write_bytes(text[:HELD_OUT_BYTES] + b"\n")
    return folder


def _block() -> bytes:
    chance = random.Random(0)
    syllables = [first + second for first, second in product("bdfgklmnprstvz", "aeiou")]
    words = [*product(syllables, repeat=2), *product(syllables, repeat=3)][:FREQUENT_WORDS]
    spelled = ["".join(word) for word in words]
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    lines: list[str] = []
    size = rare = 0
    while size < BLOCK_BYTES:
        line = chance.choices(spelled, cum_weights=weights, k=chance.randint(5, 35))
        for place in range(len(line)):
            if chance.random() * ONE_RARE_IN < 1:
                line[place] = f"{syllables[rare % 70]}{syllables[rare // 70]}{MARK}"
                rare += 1
        lines.append(" ".join(line))
        size += len(lines[-1]) + 1
    return ("\n".join(lines) + "\n").encode()[:BLOCK_BYTES]
