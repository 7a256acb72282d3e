"""A checkpoint directory: all that is needed to evaluate, to export, and to go on training.

    config.json          the configuration, every key of it
    corpus.json          the hash and the counts of each split: a run goes on with the same text
    tokenizer.json       written once, before the first step
    validation_ids.npy   at most 100,000 ids of the validation split, for checks at export
    model.pt             the best weights so far, and at which step they stood
    resume.pt            everything at the last save: weights, averages, optimiser, position
    metrics.jsonl        one line a log interval and evaluation
    learning_curve.png   perplexity over minutes, drawn at the end
    README.md            the model card, written at the end
    report.json          the final figures; its presence says that the run is finished
    .lock                while a run writes here: which process (`lock.py`)

Each file is replaced whole, and each is complete in itself, so that a kill between any two leaves
a checkpoint that loads. The text's ids are not here but in a cache that runs share (`corpus.py`).
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
from train.runtime.atomic import write_file

FILES = (
    *("config.json", "corpus.json", "tokenizer.json", "validation_ids.npy", "model.pt"),
    *("resume.pt", "metrics.jsonl", "learning_curve.png", "README.md", "report.json"),
)
VALIDATION_IDS = 100_000
WRITTEN = {"name", "tokenizer", "model", "train"}  # keys in the config.json of every run
SPEED = {"train": {"threads"}}  # what acts on the speed alone; a run goes on with another value


class Checkpoint:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def report(self) -> dict[str, Any] | None:
        """Raises CheckpointError when it is damaged."""
        path = self.folder / "report.json"
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        except ValueError:
            raise CheckpointError(f"{path} is not JSON") from None

    def check(self, config: Config) -> None:
        """Raises CheckpointError when the folder holds a run of another configuration, or files
        that no run wrote. `config.json` is a run's first file, so that a killed run has it.
        """
        if not self.has("config.json"):
            for name in FILES:
                if os.path.lexists(self.folder / name):
                    raise CheckpointError(
                        f"{self.folder} has {name} in it, which no run wrote; give another --out, "
                        "or move the file away"
                    )
            return
        own, other = (c.model_dump(exclude=SPEED) for c in (self.config(), config))
        differing = sorted(_differing(own, other))
        if differing:
            raise CheckpointError(
                f"{self.folder} holds a run of another configuration ({', '.join(differing)}); "
                "give another --out, or the same configuration to go on"
            )

    def start(self, config: Config) -> None:
        """Claim the folder for a configuration, if it is not claimed. Raises as `check`."""
        self.check(config)
        if not self.has("config.json"):
            self.folder.mkdir(parents=True, exist_ok=True)
            content = config.model_dump_json(indent=2) + "\n"
            write_file(self.folder / "config.json", content.encode())

    def config(self) -> Config:
        try:
            document = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except OSError as error:
            raise CheckpointError(f"{self.folder} is no checkpoint: {error}") from None
        except ValueError:
            raise CheckpointError(f"{self.folder / 'config.json'} is not JSON") from None
        config = parse_config(document, str(self.folder / "config.json"))
        if not WRITTEN.issubset(document):
            raise CheckpointError(f"{self.folder} is no checkpoint: no run wrote its config.json")
        return config

    def tokenizer(self) -> Tokenizer:
        path = self.folder / "tokenizer.json"
        try:
            return Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # tokenizers raises bare Exception for what it cannot parse
            raise CheckpointError(f"cannot read {path}: {error}") from None

    def validation_ids(self) -> Ids:
        path = self.folder / "validation_ids.npy"
        try:
            return np.asarray(np.load(path), np.int32)
        except (OSError, EOFError, ValueError) as error:
            raise CheckpointError(f"cannot read {path}: {error}") from None

    def digests(self) -> dict[str, str]:
        """Return the hash of each split's text; nothing where that is not known."""
        try:
            document = json.loads((self.folder / "corpus.json").read_text(encoding="utf-8"))
            return {name: str(split["hash"]) for name, split in document.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def write_corpus(self, splits: dict[str, Split]) -> None:
        document = {name: {"hash": s.digest, **s.counts()} for name, s in splits.items()}
        write_file(self.folder / "corpus.json", (json.dumps(document, indent=2) + "\n").encode())

    def check_corpus(self, digests: dict[str, str]) -> None:
        """Raises CheckpointError when the text of a split is not what the run began with."""
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
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(validation_ids[:VALIDATION_IDS]))
        write_file(self.folder / "validation_ids.npy", buffer.getvalue())
        write_file(self.folder / "tokenizer.json", (tokenizer.to_str() + "\n").encode())

    def save(self, name: str, content: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_file(self.folder / name, buffer.getvalue())

    def load(self, name: str) -> dict[str, Any]:
        """Raises CheckpointError when the file is missing or damaged; runs no code from it."""
        path = self.folder / name
        try:
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
        except Exception:  # a damaged file makes torch raise whatever its bytes lead to
            content = None  # and torch's own advice is to load it unsafely
        if not isinstance(content, dict):
            raise CheckpointError(f"cannot read {path}: it is damaged, or no checkpoint")
        return content

    def has(self, name: str) -> bool:
        return (self.folder / name).exists()


def _differing(one: dict[str, Any], other: dict[str, Any], parents: str = "") -> Iterator[str]:
    """The keys, as `--set` takes them, whose values are not the same."""
    for key in one.keys() | other.keys():
        left, right = one.get(key), other.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            yield from _differing(left, right, f"{parents}{key}.")
        elif left != right:
            yield parents + key


def load_model(folder: Path) -> tuple[TiedLSTM, Config, Tokenizer]:
    """The best weights of a run, in evaluation mode. Raises CheckpointError."""
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
