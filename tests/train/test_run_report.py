"""Tests of `report.json` as a typed object."""

import json
from typing import Any

import pytest

from train.errors import CheckpointError
from train.run_report import RunReport

SPLIT = {"tokens": 9, "lines": 2, "unknown": 1, "characters": 30, "bytes": 31}
DOCUMENT: dict[str, Any] = {
    "name": "toy",
    "parameters": 10,
    "vocabulary_size": 5,
    "epochs": 2,
    "steps": 30,
    "cut_short": False,
    "minutes": 0.02,
    "tokens_per_second": 1000,
    "finished": "2026-11-25",
    "splits": {"train": SPLIT, "valid": SPLIT, "test": SPLIT},
    "perplexity": {"valid": 3.5, "test": float("inf")},
    "perplexity_by_sentence": {"valid": 1e-7, "test": 4.0},
    "bits_per_byte": {"valid": 0.1, "test": 0.30000000000000004},
}
EARLY = {k: v for k, v in DOCUMENT.items() if k not in ("steps", "cut_short", "bits_per_byte")}


def file_of(document: Any) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()


@pytest.mark.parametrize("document", [DOCUMENT, EARLY, {**DOCUMENT, "of_a_later_version": [1]}])
def test_report_writes_the_bytes_that_it_read(document: dict[str, Any]) -> None:
    assert RunReport.from_json(file_of(document), "report.json").to_json() == file_of(document)


def test_early_report_has_defaults() -> None:
    report = RunReport.from_json(file_of(EARLY), "report.json")
    assert (report.steps, report.cut_short, report.bits_per_byte) == (0, False, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "run/report.json is not JSON"),
        (b"[1]", "run/report.json is not the report of a run: "),
        (file_of({**DOCUMENT, "epochs": "two"}), "of a run: epochs: Input should be a valid int"),
        (file_of({**DOCUMENT, "splits": {"test": {}}}), r"splits\.test\.tokens: Field required; "),
    ],
)
def test_wrong_report_names_its_fields(content: bytes, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        RunReport.from_json(content, "run/report.json")
