"""Tests of the texts, pictures and errors of `python -m train report`."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.report_pages import report, tables, texts
from tests.support.tiny_training import ROOT, contents, full_disk
from tests.support.train_command import Capture
from train.__main__ import main


def test_page_depends_on_runs_and_seed(runs: Path) -> None:
    first = report([runs / "one", runs / "two"], "--seed", "4")
    before = contents(runs)
    assert report([runs / "one", runs / "two"], "--seed", "4") == first
    assert contents(runs) == before
    other = report([runs / "one", runs / "two"], "--seed", "5")
    assert tables(other)[:2] == tables(first)[:2]
    assert texts(other) != texts(first)


def test_samples_continue_prompts_and_are_escaped(runs: Path) -> None:
    page = report([runs / "one"], "--prompt", "the cat", "--prompt", "<b> | *a* `", "--prompt", "")
    (cat, [first]), (odd, [second]), (empty, [third]) = texts(page)
    assert (cat, odd, empty) == ("“the cat …”", "“\\<b\\> \\| \\*a\\* \\` …”", "“…”")
    assert first.startswith("the cat")
    # The vocabulary lacks these four words. They are read as <unk>, which is never drawn.
    assert second.count("\\<unk\\>") == second.count("unk") == 4
    assert "unk" not in third


def test_default_prompts_come_from_validation_text(runs: Path) -> None:
    page = report([runs / "one"])
    text = (runs / "data" / "valid.txt").read_text(encoding="utf-8")
    heads = [head for head, _ in texts(page)]
    assert heads[0] == "“…”"
    assert len(heads) == 4
    for head in heads[1:]:
        assert f"{head[1:-3]} " in text


def test_the_pictures_lie_where_the_page_links_to(runs: Path) -> None:
    page = runs / "new folder" / "my page (1).md"
    assert main(["report", str(runs / "one"), "--out", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"!\[[^]]*\]\((\S+)\)", text)
    names = [link.replace("%20", " ").replace("%28", "(").replace("%29", ")") for link in links]
    assert set(contents(page.parent)) == {page.name, *names}
    assert len(names) == 2
    for name in names:
        assert (page.parent / name).read_bytes().startswith(b"\x89PNG")


def test_a_page_name_need_not_be_utf_8(runs: Path) -> None:
    page = runs / os.fsdecode(b"caf\xe9.md")
    assert main(["report", str(runs / "one"), "--out", str(page)]) == 0
    assert "](caf%E9_files/perplexity_over_tokens.png)" in page.read_text(encoding="utf-8")


Break = Callable[[Path], Any]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (shutil.rmtree, "is not a checkpoint"),
        (lambda run: (run / "config.json").unlink(), "is not a checkpoint"),
        (lambda run: (run / "config.json").write_text("{"), "config.json is not JSON"),
        (lambda run: (run / "config.json").write_text("{}"), "name: Field required"),
        (lambda run: (run / "metrics.jsonl").unlink(), "one has no metrics yet"),
        (lambda run: (run / "metrics.jsonl").write_text('{"kind": "tr'), "has no metrics yet"),
        (
            lambda run: (run / "metrics.jsonl").write_text("3\n"),
            "line 1: not a line of a run's metrics; restore the file, or leave the run out",
        ),
        (lambda run: (run / "metrics.jsonl").write_text('{"kind": []}\n'), "line 1: not a line of"),
        (lambda run: (run / "tokenizer.json").unlink(), "tokenizer.json"),
        (lambda run: (run / "model.pt").write_bytes(b"\x00"), "model.pt"),
        (lambda run: (run / "report.json").write_text("{"), "report.json is not JSON"),
        (lambda run: (run / "report.json").write_text("[1]"), "report.json is not the report"),
        (
            lambda run: (run / "report.json").write_text('{"name": "one"}'),
            "is not the report of a run: parameters: Field required",
        ),
        (lambda run: (run / "validation_ids.npy").unlink(), "validation_ids.npy"),
    ],
)
def test_broken_checkpoint_writes_no_page(
    runs: Path, capsys: Capture, damage: Break, reason: str
) -> None:
    damage(runs / "one")
    before = contents(runs)
    assert main(["report", str(runs / "one"), "--out", str(runs / "page.md")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert reason in error
    assert contents(runs) == before


def test_unwritable_page_is_one_line(runs: Path, capsys: Capture) -> None:
    assert main(["report", str(runs / "one"), "--out", str(runs / "two")]) == 1
    folder = f"error: --out {runs / 'two'} is a folder; give the name of a page in it"
    assert capsys.readouterr().err.startswith(folder)
    with full_disk(1000):
        assert main(["report", str(runs / "one"), "--out", str(runs / "page.md")]) == 1
    assert capsys.readouterr().err.startswith("error: File too large")
    assert "page.md" not in contents(runs)


def test_a_pipe_is_not_opened_for_a_page(runs: Path, capsys: Capture) -> None:
    pipe = runs / "page.md"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "train", "report", str(runs / "one"), "--out", str(pipe)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"--out {pipe} is not a regular file" in done.stderr
    assert pipe.is_fifo()


@pytest.mark.parametrize("flag", ["--temperature=0", "--temperature=nan", "--seed=-1", "--seed=x"])
def test_a_wrong_flag_is_refused(runs: Path, capsys: Capture, flag: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["report", str(runs / "one"), "--out", str(runs / "page.md"), flag])
    assert caught.value.code == 2
    assert flag.partition("=")[0] in capsys.readouterr().err


def test_a_configuration_may_be_called_report(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(runs)
    Path("toy.toml").rename("report")
    assert main(["./report", "--data", "data", "--out", "three"]) == 0
    assert "toy: " in capsys.readouterr().out
