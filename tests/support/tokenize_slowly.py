"""A slow tokenization, which a test can kill at any time.

    python -m tests.support.tokenize_slowly TEXT CACHE

Its tokenizer prints a line after each block.
"""

import sys
import time
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from train.config import TokenizerConfig
from train.data import source
from train.data.corpus import tokenize
from train.data.tokenizer import fit_tokenizer

PAUSE_SECONDS = 0.05
CHUNK_BYTES = 100


class Slow:
    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def encode_batch_fast(self, texts: list[str]) -> Any:
        time.sleep(PAUSE_SECONDS)
        return self.tokenizer.encode_batch_fast(texts)


def main() -> None:
    source.CHUNK_BYTES = CHUNK_BYTES
    text = source.Source((Path(sys.argv[1]),))
    tokenizer: Any = Slow(fit_tokenizer(TokenizerConfig(kind="whitespace"), text.lines()))
    split = tokenize(text, tokenizer, Path(sys.argv[2]), "train")
    print(len(split.ids))


if __name__ == "__main__":
    main()
