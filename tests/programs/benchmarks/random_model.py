"""The benchmarked model: 2 × 650, 10,000 words, seeded random weights, as two bundles."""

import random
from pathlib import Path

import numpy as np
import torch

from model_export.__main__ import main as export
from tests.programs.soak.mix import PTB_LENGTHS
from train.checkpoint import Checkpoint
from train.config import Config, ModelConfig, TokenizerConfig
from train.data.splits import find_splits
from train.data.tokenizer import fit_tokenizer
from train.model.lstm import TiedLSTM

VOCABULARY = 10_000
CONFIG = Config(
    name="bench",
    tokenizer=TokenizerConfig(kind="whitespace"),
    model=ModelConfig(embedding_size=650, hidden_size=650, layers=2),
)
SENTENCES = 2000


def sentences(data: Path | None, seed: int = 0) -> list[str]:
    """Return the test split of a corpus folder, or words w0 … w9997 with PTB's sentence lengths."""
    if data is not None:
        splits, _ = find_splits(data)
        return [line.strip() for line in splits["test"].lines() if line.strip()][:SENTENCES]
    chance = random.Random(seed)
    lengths = [
        round(np.interp(chance.random() * 10, range(11), PTB_LENGTHS)) for _ in range(SENTENCES)
    ]
    words = [f"w{index}" for index in range(VOCABULARY - 2)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    return [" ".join(chance.choices(words, weights, k=length)) for length in lengths]


def write_bundles(folder: Path, lines: list[str]) -> dict[str, Path]:
    """Export the model in both precisions; return the bundles' directories."""
    checkpoint = write_checkpoint(folder / "checkpoint", CONFIG, VOCABULARY, lines)
    bundles = {}
    for precision in ("float32", "int8"):
        bundles[precision] = folder / precision
        if export([str(checkpoint), str(bundles[precision]), "--precision", precision]):
            raise SystemExit(1)
    return bundles


def write_checkpoint(folder: Path, config: Config, size: int, lines: list[str]) -> Path:
    """Write random weights and a vocabulary that starts with the words of `lines`."""
    checkpoint = Checkpoint(folder)
    checkpoint.start(config)
    filler = [f"filler{index}" for index in range(size)]
    vocabulary = TokenizerConfig(kind="whitespace", vocabulary_size=size)
    tokenizer = fit_tokenizer(vocabulary, [*lines, *lines, *filler])
    torch.manual_seed(0)
    model = TiedLSTM(config.model, size)
    ids = np.random.default_rng(0).integers(0, size, 256, np.int32)
    checkpoint.write_inputs(tokenizer, ids)
    checkpoint.save("model.pt", {"weights": model.state_dict(), "step": 0})
    return folder
