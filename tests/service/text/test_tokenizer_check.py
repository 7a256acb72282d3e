"""A `tokenizer.json` that lengthens texts beyond measure is rejected before a text is encoded."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from service.bundle import Bundle
from service.errors import BundleError
from service.text.tokenizer import Tokenizer
from tests.support.bundles import replace

DOUBLE = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
EVERYTHING = {"type": "Replace", "pattern": {"Regex": "."}, "content": "a" * 1000}
# It backtracks 2^n times on n times the letter a without a b.
CATASTROPHE = {
    "type": "Split",
    "pattern": {"Regex": "(a+)+b"},
    "behavior": "Isolated",
    "invert": False,
}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def tokenizer(bundle: Path, parts: dict[str, Any]) -> Tokenizer:
    content = json.loads((bundle / "tokenizer.json").read_text())
    content.update(parts)
    replace(bundle, "tokenizer.json", json.dumps(content).encode())
    loaded = Bundle.load(bundle)
    return Tokenizer(loaded.contents["tokenizer.json"], loaded.manifest)


@pytest.fixture
def copy(bundle_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_path, tmp_path / "bundle"))


def sequence(name: str, *parts: Any) -> dict[str, Any]:
    return {"type": "Sequence", name: list(parts)}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("normalizer", sequence("normalizers", *[DOUBLE] * 60)),
        ("normalizer", sequence("normalizers", *[sequence("normalizers", *[DOUBLE] * 8)] * 8)),
        ("normalizer", EVERYTHING),
        ("normalizer", sequence("normalizers", {"type": "NFKD"}, {"type": "NFKD"})),
        ("normalizer", {"type": "Prepend", "prepend": "a" * 10_000}),
        ("pre_tokenizer", sequence("pretokenizers", *[BYTES] * 40)),
        ("decoder", sequence("decoders", *[DOUBLE] * 60)),
    ],
)
def test_part_that_lengthens_texts_is_rejected(copy: Path, part: str, value: Any) -> None:
    with pytest.raises(BundleError, match=f"{part}: it may make a text") as found:
        tokenizer(copy, {part: value})
    assert "\n" not in found.value.message


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"type": "NFC"},
        sequence("normalizers", {"type": "NFKC"}, {"type": "Lowercase"}, {"type": "StripAccents"}),
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, DOUBLE),
    ],
)
def test_common_normalizers_are_accepted(copy: Path, value: Any) -> None:
    assert len(tokenizer(copy, {"normalizer": value}).encode("the river").ids) >= 1


def test_file_too_large_for_its_vocabulary_is_rejected(copy: Path) -> None:
    with pytest.raises(BundleError, match="too large for 14000 entries"):
        tokenizer(copy, {"padded": "a" * 20_000_000})


@pytest.mark.parametrize("content", [b"[]", b"1", b"\xff", b"[" * 100_000, b'{"a": 1'])
def test_tokenizer_must_be_a_json_object(copy: Path, content: bytes) -> None:
    replace(copy, "tokenizer.json", content)
    loaded = Bundle.load(copy)
    with pytest.raises(BundleError, match=r"tokenizer\.json"):
        Tokenizer(loaded.contents["tokenizer.json"], loaded.manifest)


def test_padding_and_truncation_change_no_text(copy: Path) -> None:
    """Without the check the library appends a million tokens to a text, or truncates it to two."""
    expected = tokenizer(copy, {}).encode("the old river").ids.tolist()
    padding = {
        "strategy": {"Fixed": 1_000_000},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<unk>",
    }
    truncation = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    for parts in ({"padding": padding}, {"truncation": truncation}):
        assert tokenizer(copy, parts).encode("the old river").ids.tolist() == expected


def test_catastrophic_regular_expression_is_rejected(copy: Path) -> None:
    """The library stops after a number of steps with a BaseException."""
    with pytest.raises(BundleError, match="cannot encode a text") as found:
        tokenizer(copy, {"pre_tokenizer": CATASTROPHE})
    assert "\n" not in found.value.message


@pytest.mark.parametrize("parts", [1, "NFC", {"type": "NFC"}, True])
def test_sequence_without_a_list_is_rejected(copy: Path, parts: Any) -> None:
    with pytest.raises(BundleError, match=r"tokenizer\.json") as found:
        tokenizer(copy, {"normalizer": {"type": "Sequence", "normalizers": parts}})
    assert "\n" not in found.value.message


def test_model_without_a_type_is_loaded(copy: Path) -> None:
    """Older versions of the library write such files."""
    content = json.loads((copy / "tokenizer.json").read_text())
    expected = tokenizer(copy, {}).kind
    del content["model"]["type"]
    assert tokenizer(copy, {"model": content["model"]}).kind == expected
