"""Tests of the figures of `python -m train report` against the files of the checkpoints."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.report_pages import column, read_json, report, tables, texts, unfinished
from tests.support.train_command import Capture, last_line
from train.report.metrics import read_metrics
from train.runtime.stopwatch import STEP_PARTS


def test_the_figures_are_those_of_the_reports(runs: Path, capsys: Capture) -> None:
    page = report([runs / "one", runs / "two"])
    assert last_line(capsys.readouterr().out) == str(runs / "page.md")
    for row in tables(page)[0]:
        figures = read_json(runs / row["run"] / "report.json")
        assert row["finished"] == figures["finished"]
        assert row["parameters"] == f"{figures['parameters']:,}"
        assert row["vocabulary"] == "10"
        assert row["epochs"] == str(figures["epochs"])
        assert float(row["minutes"]) == pytest.approx(figures["minutes"], abs=0.051)
        assert row["tokens/s"] == f"{figures['tokens_per_second']:,}"
        for split in ("valid", "test"):
            assert row[f"{split}, carried"] == f"{figures['perplexity'][split]:.2f}"
            single = figures["perplexity_by_sentence"][split]
            assert row[f"{split}, by sentence"] == f"{single:.2f}"
            assert row[f"{split}, bits per byte"] == f"{figures['bits_per_byte'][split]:.4f}"
    assert column(page, "epochs") == ["2", "3"]


def test_only_keys_that_differ_are_listed(runs: Path) -> None:
    page = report([runs / "one", runs / "two"])
    (table,) = (table for table in tables(page) if "key" in table[0])
    assert table == [
        {"key": "`model.tied`", "one": "true", "two": "false"},
        {"key": "`train.seed`", "one": "1", "two": "9"},
        {"key": "`train.epochs`", "one": "2", "two": "3"},
    ]


def test_prose_about_the_model_is_no_difference(runs: Path) -> None:
    config = read_json(runs / "one" / "config.json")
    for key in ("description", "data_license", "limitations"):
        config[key] = "Something else."
    (runs / "one" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert "Something else" not in report([runs / "one", runs / "two"])


def test_key_of_one_run_is_a_difference(runs: Path) -> None:
    config = read_json(runs / "one" / "config.json")
    config["loss"]["teacher"] = {"checkpoint": "a|b"}
    (runs / "one" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    page = report([runs / "one", runs / "two"])
    assert '| `loss.teacher.checkpoint` | "a\\|b" | – |' in page
    assert "| `loss.teacher`" not in page


def test_equal_names_are_labelled_by_path(runs: Path) -> None:
    shutil.copytree(runs / "one", runs / "again" / "one")
    page = report([runs / "one", runs / "again" / "one", runs / "two"])
    assert column(page, "epochs") == ["2", "2", "3"]
    assert [row["run"] for row in tables(page)[0]] == ["one (one)", "one (again/one)", "two"]
    same = report([runs / "one", runs / "again" / "one"])
    assert "The same in all runs." in same
    once = report([runs / "one", runs / "one", runs / "two" / ".." / "one"])
    assert len(tables(once)[0]) == 1
    assert "## Configuration" not in once


def test_an_unfinished_run_shows_what_is_known(runs: Path) -> None:
    lines = unfinished(runs / "two", epochs=2)
    row = tables(report([runs / "one", runs / "two"]))[0][1]
    finished_row = tables(report([runs / "one"]))[0][0]
    validations = [line["perplexity"] for line in lines if line["kind"] == "validation"]
    best = min(validations)
    assert len({f"{perplexity:.2f}" for perplexity in validations}) == 2
    assert row["finished"] == "not yet, 2 of 3"
    assert (row["epochs"], row["vocabulary"]) == ("2", "10")
    untied = int(finished_row["parameters"].replace(",", "")) + 10 * 8  # the softmax's own matrix
    assert row["parameters"] == f"{untied:,}"
    assert float(row["minutes"]) == pytest.approx(lines[-1]["seconds"] / 60, abs=0.051)
    assert row["valid, carried"] == f"{best:.2f}"
    assert {row[f"test, {x}"] for x in ("carried", "by sentence", "bits per byte")} == {"–"}
    assert (row["valid, by sentence"], row["valid, bits per byte"]) == ("–", "–")


def test_run_without_validation_has_no_samples(runs: Path) -> None:
    (runs / "two" / "model.pt").unlink()
    unfinished(runs / "two")
    path = runs / "two" / "metrics.jsonl"
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    page = report([runs / "one", runs / "two"])
    row = tables(page)[0][1]
    assert (row["valid, carried"], row["tokens/s"]) == ("–", "–")
    assert {cells[1] for _, cells in texts(page)} == {"*no weights yet*"}
    assert all("no weights" not in cells[0] for _, cells in texts(page))


def test_an_older_report_lacks_some_figures(runs: Path) -> None:
    figures = read_json(runs / "one" / "report.json")
    del figures["bits_per_byte"]
    (runs / "one" / "report.json").write_text(json.dumps(figures), encoding="utf-8")
    assert column(report([runs / "one"]), "test, bits per byte") == ["–"]


def test_step_times_are_shown_if_measured(runs: Path) -> None:
    path = runs / "one" / "metrics.jsonl"
    lines = read_metrics(path)
    for number, part in enumerate(STEP_PARTS, 1):
        for line in lines:
            line.pop(f"{part}_seconds", None)
            if line["kind"] == "train":  # one line per step
                line[f"{part}_seconds"] = number / 1000
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    two = runs / "two" / "metrics.jsonl"
    bare = [
        {k: v for k, v in line.items() if k.removesuffix("_seconds") not in STEP_PARTS}
        for line in read_metrics(two)
    ]
    two.write_text("".join(json.dumps(line) + "\n" for line in bare), encoding="utf-8")
    page = report([runs / "one", runs / "two"])
    (table,) = (table for table in tables(page) if "together" in table[0])
    assert table == [
        {
            "run": "one",
            "data": "1.00 (10%)",
            "forward": "2.00 (20%)",
            "backward": "3.00 (30%)",
            "optimizer": "4.00 (40%)",
            "together": "10.00",
        }
    ]
    assert "time of a step" not in report([runs / "two"])
