"""Tests of the command `python -m train CONFIG --data DIR --out CHECKPOINT`."""

import gzip
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.support.tiny_training import contents, start
from tests.support.train_command import Capture, Train, fails, partial_files
from train.checkpoint import load_model
from train.evaluation import evaluate, evaluate_by_sentence
from train.report.metrics import read_metrics


def test_run_writes_a_complete_checkpoint(train: Train, capsys: Capture) -> None:
    assert train() == 0
    captured = capsys.readouterr()
    assert "epoch 1/2" in captured.err
    assert "tokens/s" in captured.err
    report = json.loads((train.out / "report.json").read_text(encoding="utf-8"))
    model, config, tokenizer = load_model(train.out)
    assert f"toy: {sum(p.numel() for p in model.parameters()):,} parameters" in captured.out
    assert f"valid {report['perplexity']['valid']:.2f}" in captured.out
    assert (report["name"], report["epochs"], config.name) == ("toy", 2, "toy")
    # the, other, 4 nouns, 2 verbs, <unk>, <eos>
    assert report["vocabulary_size"] == 10
    vocabulary = tokenizer.get_vocab()
    for split, lines in (("train", 60), ("valid", 12), ("test", 12)):
        text = (train.data / f"{split}.txt").read_text(encoding="utf-8")
        words = text.replace("\n", " <eos> ").split()
        ids = np.array([vocabulary[word] for word in words], np.int32)
        assert report["splits"][split] == {
            "tokens": lines * 7,
            "lines": lines,
            "unknown": 0,
            "characters": len(text) - lines,
            "bytes": len(text) - lines,
        }
        if split == "train":
            continue
        total = evaluate(model, ids, 1)
        assert report["perplexity"][split] == pytest.approx(total.perplexity, rel=1e-6)
        single = evaluate_by_sentence(model, ids, 1).perplexity
        assert report["perplexity_by_sentence"][split] == pytest.approx(single, rel=1e-6)
        bits = total.nats / math.log(2) / len(text)
        assert report["bits_per_byte"][split] == pytest.approx(bits, rel=1e-6)
    best = min(
        line["perplexity"]
        for line in read_metrics(train.out / "metrics.jsonl")
        if line["kind"] == "validation"
    )
    assert report["perplexity"]["valid"] == pytest.approx(best, rel=1e-6)
    assert (train.out / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert not partial_files(train.out)


def test_a_finished_run_run_again_changes_nothing(train: Train, capsys: Capture) -> None:
    assert train() == 0
    first, before = capsys.readouterr().out, contents(train.out)
    assert train() == 0
    assert contents(train.out) == before
    assert first.endswith(capsys.readouterr().out)


def test_vocabulary_comes_from_the_train_split(train: Train) -> None:
    for split in ("valid", "test"):
        with (train.data / f"{split}.txt").open("a", encoding="utf-8") as file:
            file.write("the zebra zebra\n")
    assert train("--set", "train.epochs=1") == 0
    vocabulary = load_model(train.out)[2].get_vocab()
    words = (train.data / "train.txt").read_text(encoding="utf-8").split()
    assert set(vocabulary) == {*words, "<unk>", "<eos>"}
    report = json.loads((train.out / "report.json").read_text(encoding="utf-8"))
    assert report["splits"]["valid"]["unknown"] == 2


Change = Callable[[Train], Any]


def _gzip_damaged(train: Train) -> None:
    content = bytearray(gzip.compress((train.data / "train.txt").read_bytes()))
    content[30:60] = b"\xff" * 30
    (train.data / "train.txt").unlink()
    (train.data / "train.txt.gz").write_bytes(content)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.config.write_text('name = "a"\ncolour = 1\n'), r"toy.toml: colour: unknown"),
        (lambda t: t.config.write_text("name = "), "toy.toml is not TOML"),
        (lambda t: t.config.unlink(), "toy.toml: No such file"),
        (lambda t: t.out.write_text("a file"), "out"),
        (lambda t: (t.data / "valid.txt").unlink(), "there is no valid"),
        (lambda t: [p.unlink() for p in t.data.iterdir()], "no .txt or .txt.gz"),
        (lambda t: (t.data / "train.txt").write_bytes(b"a\n\x00"), "train.txt, line 2: a NUL"),
        (lambda t: (t.data / "test.txt").write_bytes(b"a\n\xff"), "test.txt, line 2: not UTF-8"),
        (lambda t: (t.data / "valid.txt").write_text("\n"), "the valid split"),
        (lambda t: (t.data / "train.txt").write_text(""), "no word that occurs 1 times"),
        (lambda t: (t.data / "train.txt").write_text("a b"), "too few for train.batch_size"),
        (_gzip_damaged, "train.txt.gz"),
    ],
)
def test_bad_input_is_one_line_and_code_1(
    train: Train, capsys: Capture, change: Change, reason: str
) -> None:
    change(train)
    taken = train.out.exists()
    assert reason in fails(train, capsys)
    assert not partial_files(train.data.parent)
    if "train.batch_size" not in reason:  # that one is found after reading the text
        assert train.out.exists() == taken


@pytest.mark.parametrize("name", ["README.md", "metrics.jsonl", "report.json", "tokenizer.json"])
def test_a_folder_of_other_files_is_never_written(train: Train, capsys: Capture, name: str) -> None:
    train.out.mkdir()
    (train.out / name).write_text('{"mine": 1}\n', encoding="utf-8")
    before = contents(train.out)
    assert f"{train.out} has {name} in it, which no run wrote" in fails(train, capsys)
    assert contents(train.out) == before


def test_wrong_override_is_one_line_and_code_1(train: Train, capsys: Capture) -> None:
    assert "train.epoch: unknown key" in fails(train, capsys, "--set", "train.epoch=1")
    assert "key=value" in fails(train, capsys, "--set", "epochs")
    assert not train.out.exists()


def test_process_exits_with_code_1_and_one_line(train: Train) -> None:
    process = start("train", *train.arguments("--set", "model.layers=0"))
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert err.startswith(f"error: {train.config}: model.layers: ")
    assert err.count("\n") == 1
