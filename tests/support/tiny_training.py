"""A toy language and runs of seconds, for tests of `train` and `model_export`."""

import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

import train
from train.checkpoint import Checkpoint
from train.config import Config, ModelConfig, TokenizerConfig, TrainConfig
from train.data.tokenizer import fit_tokenizer
from train.model.lstm import TiedLSTM

ROOT = Path(train.__file__).parent.parent

CONFIG = """
name = "toy"
data_license = "public domain"

[tokenizer]
kind = "whitespace"

[model]
embedding_size = 8
hidden_size = 12
layers = 2
dropout_input = 0.1
dropout_hidden = 0.1
dropout_output = 0.1

[train]
epochs = 2
batch_size = 4
bptt_length = 7
learning_rate = 2e-2
warmup_steps = 5
precision = "float32"
log_every_steps = 1
checkpoint_every_seconds = 0
"""

# All keys that add randomness, carried state or averages to training, for `--set`.
EVERYTHING = (
    "model.dropout_weight=0.3",
    "model.dropout_embedding=0.2",
    "loss.label_smoothing=0.1",
    "loss.activation=1.0",
    "loss.temporal_activation=1.0",
    "loss.past_decode=0.1",
    "average.kind=ema",
    "train.random_bptt=true",
    "train.partial_shuffle=true",
    "train.state_reset_probability=0.3",
)


def sentences(count: int, seed: int = 0) -> list[str]:
    """Return sentences of a language in which each sentence repeats its first noun at the end."""
    choice = random.Random(seed).choice
    nouns = [choice(("cat", "dog", "bird", "fish")) for _ in range(count)]
    verbs = [choice(("sees", "hears")) for _ in range(count)]
    return [f"the {n} {v} the other {n}" for n, v in zip(nouns, verbs, strict=True)]


def write_corpus(folder: Path, train_lines: int = 60, held_out_lines: int = 12) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, split in enumerate(("train", "valid", "test")):
        lines = sentences(train_lines if split == "train" else held_out_lines, seed)
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_config(path: Path, content: str = CONFIG) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def write_checkpoint(
    folder: Path, model: ModelConfig, vocabulary_size: int = 50, seed: int = 0
) -> tuple[Path, TiedLSTM]:
    """Write the checkpoint of an unfinished run, with random weights that are not small."""
    config = Config(
        name="toy",
        description="A toy of random weights.",
        data_license="public domain",
        limitations="It means nothing.",
        tokenizer=TokenizerConfig(kind="whitespace"),
        model=model,
        train=TrainConfig(precision="float32"),
    )
    words = " ".join(f"w{index}" for index in range(2, vocabulary_size))
    checkpoint = Checkpoint(folder)
    checkpoint.start(config)
    random_ids = np.random.default_rng(seed).integers(0, vocabulary_size, 600).astype(np.int32)
    checkpoint.write_inputs(fit_tokenizer(config.tokenizer, [words]), random_ids)
    network = TiedLSTM(model, vocabulary_size)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        # Recurrent weights above about 1 / √H would amplify rounding errors without bound.
        std = parameter.shape[-1] ** -0.5 if ".weight_" in name else 0.5
        torch.nn.init.normal_(parameter, std=std, generator=generator)
    checkpoint.save("model.pt", {"weights": network.state_dict(), "step": 0})
    return folder, network.eval()


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start `python -m …` on one thread, as the tests themselves run."""
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Limit files to `room` bytes: the kernel fails the write, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every file under a folder, also hidden ones, by relative name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def tensors_equal(left: dict[str, Any], right: dict[str, Any]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)
