"""The checkpoint directory: everything needed to evaluate, to export and to resume training.

    config.json          the configuration, every key of it
    corpus.json          the hash and the counts of each split: a run resumes with the same text
    tokenizer.json       written once, before the first step
    validation_ids.npy   at most 100,000 ids of the validation split, for checks at export
    model.pt             the best weights so far, and the step at which they were saved
    resume.pt            everything at the last save: weights, averages, optimiser, position
    metrics.jsonl        one line a log interval and evaluation
    learning_curve.png   perplexity over minutes, drawn at the end
    README.md            the model card, written at the end
    report.json          the final figures (`run_report.py`); a run that has it is finished
    .lock                the process that writes here, while it does (`lock.py`)

Each file is replaced in one step and needs no other file of the same save. A checkpoint therefore
loads after a kill between any two writes. The ids of the text are in a cache that runs share
(`corpus.py`).
"""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from train.config import Config
from train.config_file import parse_config
from train.data.corpus import Ids, Split
from train.errors import CheckpointError
from train.model.lstm import TiedLSTM
from train.run_report import RunReport
from train.runtime.atomic import write_file

FILES = (
    *("config.json", "corpus.json", "tokenizer.json", "validation_ids.npy", "model.pt"),
    *("resume.pt", "metrics.jsonl", "learning_curve.png", "README.md", "report.json"),
)
VALIDATION_IDS = 100_000
REQUIRED_KEYS = {"name", "tokenizer", "model", "train"}  # in the config.json of every run
SPEED_KEYS = {"train": {"threads"}}  # these change the speed alone; a run may resume with others


class Checkpoint:
    """Reads and writes the files of one checkpoint folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def report(self) -> RunReport | None:
        """The final figures; None before the run is finished. Raises CheckpointError, OSError."""
        path = self.folder / "report.json"
        return RunReport.from_json(path.read_bytes(), str(path)) if path.exists() else None

    def check(self, config: Config) -> None:
        """Raise CheckpointError if the folder holds a run of another configuration, or files that
        no run wrote. A run writes `config.json` first, so that a killed run has it.
        """
        if not self.has("config.json"):
            for name in FILES:
                if os.path.lexists(self.folder / name):
                    raise CheckpointError(
                        f"{self.folder} has {name} in it, which no run wrote; give another --out, "
                        "or move the file away"
                    )
            return
        own, other = (c.model_dump(exclude=SPEED_KEYS) for c in (self.config(), config))
        differing = sorted(_differing(own, other))
        if differing:
            raise CheckpointError(
                f"{self.folder} holds a run of another configuration ({', '.join(differing)}); "
                "give another --out, or the same configuration to resume it"
            )

    def start(self, config: Config) -> None:
        """Write a missing `config.json`. Raises OSError; CheckpointError as `check`."""
        self.check(config)
        if not self.has("config.json"):
            self.folder.mkdir(parents=True, exist_ok=True)
            content = config.model_dump_json(indent=2) + "\n"
            write_file(self.folder / "config.json", content.encode())

    def config(self) -> Config:
        """Raises CheckpointError, or ConfigError for a key that is wrong."""
        try:
            document = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except OSError as error:
            raise CheckpointError(f"{self.folder} is not a checkpoint: {error}") from None
        except ValueError:
            raise CheckpointError(f"{self.folder / 'config.json'} is not JSON") from None
        config = parse_config(document, str(self.folder / "config.json"))
        if not REQUIRED_KEYS.issubset(document):
            raise CheckpointError(
                f"{self.folder} is not a checkpoint: no run wrote its config.json"
            )
        return config

    def tokenizer(self) -> Tokenizer:
        """Raises CheckpointError."""
        path = self.folder / "tokenizer.json"
        try:
            return Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # tokenizers raises a bare Exception if it cannot parse
            raise CheckpointError(f"cannot read {path}: {error}") from None

    def validation_ids(self) -> Ids:
        """Return the first ids (N,) of the validation split. Raises CheckpointError."""
        path = self.folder / "validation_ids.npy"
        try:
            return np.asarray(np.load(path), np.int32)
        except (OSError, EOFError, ValueError) as error:
            raise CheckpointError(f"cannot read {path}: {error}") from None

    def digests(self) -> dict[str, str]:
        """Return the hash of each split's text, or nothing if `corpus.json` is damaged."""
        try:
            document = json.loads((self.folder / "corpus.json").read_text(encoding="utf-8"))
            return {name: str(split["hash"]) for name, split in document.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def write_corpus(self, splits: dict[str, Split]) -> None:
        """Write `corpus.json`: hash and counts of each split. Raises OSError."""
        document = {name: {"hash": s.digest, **s.counts()} for name, s in splits.items()}
        write_file(self.folder / "corpus.json", (json.dumps(document, indent=2) + "\n").encode())

    def check_corpus(self, digests: dict[str, str]) -> None:
        """Raise CheckpointError if a split's text differs from the text that the run began with."""
        path = self.folder / "corpus.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            other = [name for name in digests if document[name]["hash"] != digests[name]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"cannot read {path}: {error}") from None
        if other:
            raise CheckpointError(
                f"{self.folder} holds a run on another text: --data differs in "
                f"{' and '.join(other)}; give the text that the run began with, or another --out"
            )

    def write_inputs(self, tokenizer: Tokenizer, validation_ids: Ids) -> None:
        """Write the validation ids, then the tokenizer. Raises OSError."""
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(validation_ids[:VALIDATION_IDS]))
        write_file(self.folder / "validation_ids.npy", buffer.getvalue())
        write_file(self.folder / "tokenizer.json", (tokenizer.to_str() + "\n").encode())

    def save(self, name: str, content: dict[str, Any]) -> None:
        """Write the tensors of a `.pt` file. Raises OSError."""
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_file(self.folder / name, buffer.getvalue())

    def load(self, name: str) -> dict[str, Any]:
        """Read a `.pt` file, and run no code of it. Raises CheckpointError."""
        path = self.folder / name
        try:
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
        except Exception:  # a damaged file makes torch raise errors of any class
            content = None  # torch's message is dropped: it recommends unsafe loading
        if not isinstance(content, dict):
            raise CheckpointError(f"cannot read {path}: it is damaged, or not a checkpoint")
        return content

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()


def _differing(one: dict[str, Any], other: dict[str, Any], parents: str = "") -> Iterator[str]:
    """Yield the dotted keys whose values differ."""
    for key in one.keys() | other.keys():
        left, right = one.get(key), other.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            yield from _differing(left, right, f"{parents}{key}.")
        elif left != right:
            yield parents + key


def load_model(folder: Path) -> tuple[TiedLSTM, Config, Tokenizer]:
    """Return the best model of a run in evaluation mode, its configuration and its tokenizer.

    Raises CheckpointError, ConfigError.
    """
    checkpoint = Checkpoint(folder)
    config, tokenizer = checkpoint.config(), checkpoint.tokenizer()
    model = TiedLSTM(config.model, tokenizer.get_vocab_size())
    weights: Any = checkpoint.load("model.pt").get("weights")
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{folder / 'model.pt'} does not fit config.json: {first}") from None
    return model.eval(), config, tokenizer
