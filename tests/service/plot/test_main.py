"""`python -m service.plot`: inputs, outputs, notes and errors."""

import gzip
import io
import os
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import zstandard

from service.plot.__main__ import main
from tests.service.plot.conftest import error_line
from tests.support.plot_page import Page

FOREIGN_TEXT = "Zxqvyk brmlt the river\nqqrrst\n"


NOTE = "3 of 5 tokens (60%) are unknown words: the perplexity is too low"


@pytest.mark.parametrize("kind", ["html", "svg"])
def test_many_unknown_words_print_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    if kind == "svg":
        pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
    file, out = tmp_path / "a.txt", tmp_path / f"a.{kind}"
    file.write_text(FOREIGN_TEXT, encoding="utf-8")
    assert main([str(file), "--out", str(out)]) == 0
    assert f"\nnote: {NOTE}" in capsys.readouterr().out
    content = out.read_text(encoding="utf-8")
    if kind == "html":
        assert f"Note: {NOTE}, because &lt;unk&gt; is cheap" in content
    file.write_text("The old river was long and the city of Zxqvyk was old.", encoding="utf-8")
    assert main([str(file), "--out", str(out), "--overwrite"]) == 0
    assert "note" not in capsys.readouterr().out
    assert "Note" not in out.read_text(encoding="utf-8")


def test_failures_print_one_line(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "x.html")
    assert ".png, .svg, .html" in error_line(capsys, str(file), "--out", "x.gif")
    assert "No such file" in error_line(capsys, str(tmp_path / "none.txt"), "--out", out)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert "not UTF-8" in error_line(capsys, str(tmp_path / "latin.txt"), "--out", out)
    assert "bundle" in error_line(capsys, str(file), "--out", out, "--bundle", str(tmp_path))
    assert "No such file" in error_line(capsys, str(file), "--out", str(tmp_path / "no" / "x.html"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "service.plot.chart", raising=False)
    message = error_line(capsys, str(file), "--out", str(tmp_path / "x.png"))
    assert "pip install '.[plot]'" in message
    assert main([str(file), "--out", out]) == 0


CONTROLS = "a\0b\x01\x08\x0b\x0c\x1b[31mc\x1f\x7f\x85\ufffe\uffff d"


@pytest.mark.parametrize("kind", ["svg", "html"])
def test_control_characters_are_shown_as_symbols(tmp_path: Path, kind: str) -> None:
    if kind == "svg":
        pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
    file, out = tmp_path / "a\x02\nb.txt", tmp_path / f"a.{kind}"
    file.write_text(CONTROLS, encoding="utf-8")
    assert main([str(file), "--out", str(out)]) == 0
    content = out.read_bytes().decode()
    controls = {c for c in content if ord(c) < 32 or 127 <= ord(c) < 160} - {"\n"}
    assert controls == set()
    assert not {"\ufffe", "\uffff"} & set(content)
    if kind == "svg":
        assert ElementTree.parse(out).getroot().tag.endswith("svg")
    else:
        expected = "a␀b␁␈␋␌␛[31mc␟␡\ufffd\ufffd\ufffd d"
        assert Page(content).text.rstrip("\n") == expected
        assert "<title>Surprisal of a␂␊b.txt</title>" in content


def test_compressed_text_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = b"the river\nthe city\n"
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text))
    (tmp_path / "a.txt.zst").write_bytes(zstandard.ZstdCompressor().compress(text))
    for name in ("a.txt.gz", "a.txt.zst"):
        assert main([str(tmp_path / name), "--out", str(tmp_path / f"{name}.html")]) == 0
        assert "6 tokens" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_truncated_file_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    compress = gzip.compress if suffix == ".gz" else zstandard.ZstdCompressor().compress
    file, out = tmp_path / f"a.txt{suffix}", tmp_path / "a.html"
    file.write_bytes(compress(b"one\n") + compress(b"two\n" * 1000)[:-5])
    message = error_line(capsys, str(file), "--out", str(out))
    assert f"a.txt{suffix}, after line " in message
    assert "the file is damaged" in message
    assert not out.exists()


def test_existing_file_needs_overwrite(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "surprise.html"
    out.write_text("years of work")
    assert "already exists; use --overwrite" in error_line(capsys, str(file), "--out", str(out))
    assert out.read_text() == "years of work"
    assert main([str(file), "--out", str(out), "--overwrite"]) == 0
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, "surprise.html"]


@pytest.mark.parametrize("link", ["itself", "hard", "symbolic"])
def test_output_never_replaces_the_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], link: str
) -> None:
    file = tmp_path / "thesis.html"
    file.write_text("The river", encoding="utf-8")
    out = file if link == "itself" else tmp_path / "other.html"
    if link == "hard":
        os.link(file, out)
    if link == "symbolic":
        out.symlink_to(file)
    assert "is the input" in error_line(capsys, str(file), "--out", str(out), "--overwrite")
    assert file.read_text(encoding="utf-8") == "The river"


def test_output_never_replaces_the_bundle(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "manifest.html").write_text("a file of the bundle")
    arguments = (str(file), "--out", str(bundle / "manifest.html"), "--bundle", str(bundle))
    assert "is the input" in error_line(capsys, *arguments, "--overwrite")


def test_standard_input_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"the river\n")
    os.close(write_end)
    standard_input = os.dup(0)
    os.dup2(read_end, 0)
    try:
        assert main(["-", "--out", str(tmp_path / "a.html")]) == 0
    finally:
        os.dup2(standard_input, 0)
        os.close(standard_input)
        os.close(read_end)
    assert "3 tokens" in capsys.readouterr().out
    assert "<h1>standard input</h1>" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_unprintable_names_are_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", printed)
    (tmp_path / "河.txt").write_text("The river", encoding="utf-8")
    assert main([str(tmp_path / "河.txt"), "--out", str(tmp_path / "河.html")]) == 0
    printed.flush()
    assert b"\\u6cb3.html: 3 tokens" in printed.buffer.getvalue()
