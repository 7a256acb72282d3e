"""Tests of the remark that runs are of different texts."""

import json
from pathlib import Path

import pytest

from tests.support.train_command import Capture
from train.__main__ import main


def change(run: Path, *splits: str) -> None:
    path = run / "corpus.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    for split in splits:
        document[split]["hash"] = "0123456789abcdef" * 2
    path.write_text(json.dumps(document), encoding="utf-8")


def report(runs: Path, capsys: Capture) -> tuple[str, str]:
    page = runs / "page.md"
    assert main(["report", str(runs / "one"), str(runs / "two"), "--out", str(page)]) == 0
    return page.read_text(encoding="utf-8"), capsys.readouterr().err


def test_runs_of_one_text_have_no_remark(runs: Path, capsys: Capture) -> None:
    page, err = report(runs, capsys)
    assert "different texts" not in page
    assert err == ""


@pytest.mark.parametrize(
    ("splits", "remark"),
    [
        (("test",), "(test): their perplexities do not compare"),
        (("train", "valid", "test"), "(train, valid, test): their perplexities do not compare"),
        (("train",), "(train): they are evaluated on the same text"),
    ],
)
def test_different_texts_are_named(
    runs: Path, capsys: Capture, splits: tuple[str, ...], remark: str
) -> None:
    known = json.loads((runs / "one" / "corpus.json").read_text(encoding="utf-8"))
    change(runs / "two", *splits)
    page, err = report(runs, capsys)
    assert f"**The runs are of different texts {remark}.**" in page
    assert err == f"warning: the runs are of different texts {remark}\n"
    rows = [line for line in page.splitlines() if line.startswith("| two |")]
    expected = ["01234567" if s in splits else known[s]["hash"][:8] for s in known]
    assert f"| two | {' | '.join(expected)} |" in rows


@pytest.mark.parametrize("content", [None, "[]", "{", '{"train": {}}'])
def test_an_unknown_text_differs_from_none(
    runs: Path, capsys: Capture, content: str | None
) -> None:
    path = runs / "two" / "corpus.json"
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="utf-8")
    page, err = report(runs, capsys)
    assert "different texts" not in page
    assert err == ""
