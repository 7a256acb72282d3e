import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tiny_training import ROOT, write_config
from train.config import Config, ModelConfig, TokenizerConfig, TrainConfig
from train.config_file import load_config, parse_config
from train.errors import ConfigError

PRESETS = sorted((ROOT / "train" / "configs").glob("*.toml"))


def value_at(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def test_every_key_of_the_file_is_read(tmp_path: Path) -> None:
    path = write_config(
        tmp_path / "a.toml",
        'name = "news-1"\n[tokenizer]\nkind = "whitespace"\nvocabulary_size = 900\n'
        "[model]\nlayers = 3\ntied = false\n[train]\nlearning_rate = 1e-2\nepochs = 7\n",
    )
    assert load_config(path, []) == Config(
        name="news-1",
        tokenizer=TokenizerConfig(kind="whitespace", vocabulary_size=900),
        model=ModelConfig(layers=3, tied=False),
        train=TrainConfig(learning_rate=0.01, epochs=7),
    )


def test_checkpoint_json_is_a_configuration(tmp_path: Path) -> None:
    config = Config(name="a", model=ModelConfig(layers=3), train=TrainConfig(epochs=7))
    path = tmp_path / "config.json"
    path.write_text(config.model_dump_json(indent=2), encoding="utf-8")
    assert load_config(path, []) == config
    changed = load_config(path, ["train.seed=9", "loss.teacher.checkpoint=runs/b"])
    assert (changed.train.seed, changed.train.epochs) == (9, 7)
    assert changed.loss.teacher is not None
    assert changed.loss.teacher.checkpoint == "runs/b"


@pytest.mark.parametrize("content", ["{", "[1]", "3", "\x00", '"text"'])
def test_what_is_no_json_object_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config.json is not JSON") as caught:
        load_config(path, ["train.seed=9"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("train.epochs=3", 3),
        ("train.seed=7", 7),
        ("train.learning_rate=0.5", 0.5),
        ("train.learning_rate=1e-3", 0.001),
        ("train.learning_rate=1", 1.0),
        ("model.tied=false", False),
        ("name=plain-word", "plain-word"),
        ("description=two words", "two words"),
        ('description="in quotes"', "in quotes"),
        ('description="2020"', "2020"),
        ("description=a = b", "a = b"),
        (" train.epochs = 4", 4),
        ("tokenizer.kind=words", "words"),
        ("tokenizer.vocabulary_size=1000", 1000),
    ],
)
def test_override_is_toml_or_a_string(config_file: Path, override: str, value: object) -> None:
    found = value_at(load_config(config_file, [override]), override.partition("=")[0].strip())
    assert found == value
    assert type(found) is type(value)


def test_the_last_override_of_a_key_holds(config_file: Path) -> None:
    config = load_config(config_file, ["train.epochs=3", "train.epochs=5", "model.layers=1"])
    assert (config.train.epochs, config.model.layers) == (5, 1)


def test_override_creates_a_missing_section(tmp_path: Path) -> None:
    path = write_config(tmp_path / "bare.toml", 'name = "bare"\n')
    assert load_config(path, ["model.layers=4"]).model == ModelConfig(layers=4)


@pytest.mark.parametrize("override", ["train.epochs", "=3", "train.=3", "name.first=3"])
def test_malformed_override_is_named(config_file: Path, override: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(override)):
        load_config(config_file, [override])


@pytest.mark.parametrize(
    "override",
    [
        "train.epoch=3",
        "colour=red",
        "optimizer.name=adam",
        "train.epochs=0",
        "train.epochs=3.5",
        "train.epochs=true",
        "train.batch_size='4'",
        "train.learning_rate=0",
        "train.learning_rate=nan",
        "train.final_learning_rate_ratio=1.5",
        "train.precision=float16",
        "train.seed=1e3",
        "model.layers=-1",
        "model.tied=1",
        "model.dropout_hidden=1",
        "model.dropout_output=-0.1",
        "tokenizer.kind=wordpiece",
        "tokenizer.vocabulary_size=2",
        "tokenizer.minimum_count=0",
        "tokenizer=3",
        "name=../elsewhere",
        "name=",
        "description=7",
    ],
)
def test_wrong_value_names_key_and_file(config_file: Path, override: str) -> None:
    key = override.partition("=")[0].split(".")[0 if override.startswith("optimizer") else -1]
    with pytest.raises(ConfigError) as caught:
        load_config(config_file, [override])
    assert str(config_file) in str(caught.value)
    assert re.search(rf"\b{key}: ", str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("override", ["train.checkpoint_every_seconds=inf", f"train.seed={2**70}"])
def test_unusable_number_is_refused(config_file: Path, override: str) -> None:
    with pytest.raises(ConfigError, match=override.partition("=")[0]):
        load_config(config_file, [override])


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("model.dropout_hidden=1", "less than 1"),
        ("train.epochs=0", "greater than 0"),
        ("train.precision=float16", "'float32', 'bfloat16' or 'auto'"),
    ],
)
def test_a_wrong_value_says_what_is_allowed(config_file: Path, override: str, allowed: str) -> None:
    with pytest.raises(ConfigError, match=allowed):
        load_config(config_file, [override])


def test_all_wrong_keys_are_named_at_once(config_file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(config_file, ["train.epoch=3", "model.layers=0", "model.heads=8"])
    for problem in ("train.epoch: unknown key", "model.layers: ", "model.heads: unknown key"):
        assert problem in str(caught.value)


NT_ASGD = ["average.kind=nt-asgd", "train.patience=5"]


def test_an_average_that_would_never_begin_is_refused(config_file: Path) -> None:
    assert load_config(config_file, [*NT_ASGD, "average.patience=3"]).average.patience == 3
    with pytest.raises(
        ConfigError, match=r"toml: average\.patience = 4: .*; raise train\.patience"
    ):
        load_config(config_file, [*NT_ASGD, "average.patience=4"])


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"name: toy"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"broken\.toml is not TOML"):
        load_config(path, [])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(ConfigError, match=re.escape(f"{path}: ")):
            load_config(path, [])


def test_a_configuration_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name: "):
        load_config(write_config(tmp_path / "a.toml", "[train]\nepochs = 1\n"), [])


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_loads_and_begins_with_its_command(path: Path) -> None:
    assert load_config(path, []).name == path.stem
    head = path.read_text(encoding="utf-8").partition("\nname")[0]
    assert str(path.relative_to(ROOT)) in head


def test_there_are_presets() -> None:
    assert {"ptb-small", "starter", "tiny"} <= {path.stem for path in PRESETS}


@settings(max_examples=50, deadline=None)
@given(
    rate=st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False),
    dropout=st.floats(min_value=0, max_value=1, exclude_max=True),
    description=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_a_configuration_survives_its_own_json(
    rate: float, dropout: float, description: str
) -> None:
    config = Config(
        name="toy",
        description=description,
        model=ModelConfig(dropout_hidden=dropout),
        train=TrainConfig(learning_rate=rate),
    )
    assert parse_config(json.loads(config.model_dump_json()), "config.json") == config
