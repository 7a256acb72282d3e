"""Tests of the checkpoint's README.md."""

import json

import pytest

from tests.support.train_command import Train
from train.checkpoint import Checkpoint, load_model
from train.report.card import checkpoint_card


def test_card_has_the_figures_of_the_report(train: Train) -> None:
    config = train.config.read_text(encoding="utf-8").replace(
        'name = "toy"',
        'name = "toy"\ndescription = "Animals that see."\nlimitations = "It knows four nouns."',
    )
    train.config.write_text(config, encoding="utf-8")
    assert train() == 0
    card = (train.out / "README.md").read_text(encoding="utf-8")
    report = json.loads((train.out / "report.json").read_text(encoding="utf-8"))
    assert card.startswith("# toy\n\nAnimals that see.\n")
    assert "It knows four nouns." in card
    assert "| licence of the training text | public domain |" in card
    assert f"| parameters | {report['parameters']:,} |" in card
    for split in ("valid", "test"):
        measured = (report[k][split] for k in ("perplexity", "perplexity_by_sentence"))
        figures = " | ".join(f"{value:.2f}" for value in measured)
        assert f"| {split} | {figures} | {report['bits_per_byte'][split]:.4f} |" in card
    assert "(learning_curve.png)" in card
    assert (train.out / "learning_curve.png").exists()
    assert "/" not in card.partition("## To make it again")[2].replace("</", "")
    assert str(train.data) not in card


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("words", "Words outside the vocabulary are `<unk>`: "),
        ("char", "Characters outside the vocabulary are `<unk>`: "),
        ("bpe", "there is no unknown word"),
    ],
)
def test_the_card_says_what_becomes_of_unknown_words(train: Train, kind: str, said: str) -> None:
    size = ["--set", "tokenizer.vocabulary_size=300"] if kind == "bpe" else []
    assert train("--set", "train.epochs=1", "--set", f"tokenizer.kind={kind}", *size) == 0
    card = (train.out / "README.md").read_text(encoding="utf-8")
    assert said in card
    assert ("<unk>" in card) == (kind != "bpe")


def test_command_on_the_card_reproduces_the_model(train: Train) -> None:
    assert train("--set", "train.epochs=1") == 0
    again = Train(train.out / "config.json", train.data, train.out.with_name("again"))
    assert again() == 0
    reports = [
        json.loads((out / "report.json").read_text(encoding="utf-8"))
        for out in (train.out, again.out)
    ]
    assert reports[0]["perplexity"] == reports[1]["perplexity"]
    assert load_model(train.out)[1] == load_model(again.out)[1]


def test_an_untied_model_is_not_called_tied(train: Train) -> None:
    assert train("--set", "train.epochs=1", "--set", "model.tied=false") == 0
    config = load_model(train.out)[1]
    report = Checkpoint(train.out).report
    assert report is not None
    assert "another matrix" in checkpoint_card(config, report)
    assert "the same matrix" not in checkpoint_card(config, report)
