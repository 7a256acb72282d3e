"""The configuration of a run: a TOML preset, `--set key=value` on top, every key checked."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from train.errors import ConfigError

Probability = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class TokenizerConfig(Section):
    """`vocabulary_size` counts `<unk>` and `<eos>`; none of it given keeps every word seen."""

    kind: Literal["whitespace", "words"] = "words"
    vocabulary_size: Annotated[int, Field(ge=3)] | None = None
    minimum_count: Positive = 1


class ModelConfig(Section):
    """Sizes and dropout. `hidden_size` is the width of all LSTM layers but the last.

    The last layer is always `embedding_size` wide, because its output meets the embedding matrix
    again in the softmax layer. `tied = false` gives the softmax a matrix of its own; it exists for
    the comparison and cannot be exported.
    """

    embedding_size: Positive = 400
    hidden_size: Positive = 400
    layers: Positive = 2
    tied: bool = True
    dropout_embedding: Probability = 0.3
    dropout_hidden: Probability = 0.3
    dropout_output: Probability = 0.3


class TrainConfig(Section):
    """Truncated back-propagation through time with AdamW, linear warm-up and cosine decay.

    `batch_size` counts parallel streams, `bptt_length` the tokens of each in one step, `patience`
    the epochs without a better validation perplexity after which training stops. Weight decay
    acts on matrices alone. `precision = "bfloat16"` multiplies in bfloat16 and keeps weights,
    softmax and optimiser in float32; `"auto"` does so where the processor has the instructions.
    """

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    epochs: Positive = 10
    batch_size: Positive = 32
    bptt_length: Positive = 35
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    final_learning_rate_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    warmup_steps: Annotated[int, Field(ge=0)] = 200
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    gradient_clip: Annotated[float, Field(gt=0)] = 0.25
    patience: Positive = 3
    precision: Literal["float32", "bfloat16", "auto"] = "auto"
    log_every_steps: Positive = 50
    checkpoint_every_seconds: Annotated[float, Field(ge=0)] = 60.0


class Config(Section):
    """`name` becomes the model's id wherever it is served."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    description: str = ""
    data_license: str = "unknown: ask whoever holds the rights to the training text"
    limitations: str = ""
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()


def load_config(path: Path, overrides: list[str]) -> Config:
    """Read a TOML file, then apply overrides such as `train.epochs=3` in order.

    An override's value is read as TOML (`0.3`, `true`, `"text"`); what is no TOML is a string.
    Raises ConfigError with the key, the reason and the file.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    for override in overrides:
        _set(document, override)
    return parse_config(document, str(path))


def parse_config(document: dict[str, Any], where: str) -> Config:
    """Check a nested mapping. Raises ConfigError naming every wrong key."""
    try:
        return Config.model_validate(document)
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, e['loc']))}: "
            + ("unknown key" if e["type"] == "extra_forbidden" else e["msg"])
            for e in error.errors()
        )
        raise ConfigError(f"{where}: " + "; ".join(problems)) from None


def _set(document: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *parents, leaf = key.strip().split(".")
    if not equals or not leaf:
        raise ConfigError(
            f"--set takes key=value, such as train.epochs=3; it was given {override!r}"
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    table = document
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override}: {parent} is a value, not a table")
    table[leaf] = value
