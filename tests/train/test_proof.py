"""Tests that `make proof` reads the text as the run did, with or without splits."""

from pathlib import Path

import pytest

from tests.programs.proofs import __main__ as proof
from tests.programs.proofs.short_text import shorten
from tests.support.tiny_training import contents, sentences
from tests.support.train_command import Capture, Train
from train.checkpoint import Checkpoint
from train.errors import PathError


@pytest.mark.parametrize("split", ["end", "random"])
def test_the_test_split_is_that_of_the_run(
    train: Train, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    train.data = train.data.with_name("book.text")
    lines = sentences(100)
    train.data.write_text("\n".join(lines) + "\n\n\n", encoding="utf-8")
    assert train("--set", f"data.split={split}", "--set", "train.epochs=1") == 0
    found, perplexity = proof.test_lines(train.out, train.data)
    report = Checkpoint(train.out).report
    assert report is not None
    assert perplexity == report.perplexity["test"]
    assert sum(len(line.split()) + 1 for line in found) == report.splits["test"].tokens
    if split == "end":
        assert found == [*lines[-4:], "", ""]  # 6 of 102 lines


def test_a_proof_without_a_result_is_one_line(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def prove() -> str:
        arguments = ["proof", str(train.out), "--data", str(train.data)]
        monkeypatch.setattr("sys.argv", arguments)
        assert proof.main() == 1
        return capsys.readouterr().err

    train.out.mkdir()
    assert prove() == f"error: {train.out} is not finished; the command of its run resumes it\n"
    train.out.rmdir()
    assert train() == 0
    capsys.readouterr()
    (train.data / "test.txt").write_text("another text\n", encoding="utf-8")
    assert "holds a run on another text: --data differs in test" in prove()


def test_a_shortened_text_never_replaces_its_source(corpus: Path) -> None:
    before = contents(corpus)
    with pytest.raises(PathError, match="is inside the output"):
        shorten(corpus, corpus, 10)
    assert contents(corpus) == before
