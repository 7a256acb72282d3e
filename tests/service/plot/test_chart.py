"""The line chart."""

import re
import warnings
from pathlib import Path
from xml.etree import ElementTree

import pytest

from service.plot.__main__ import main
from service.plot.scored_text import ScoredText, Token

pytest.importorskip("matplotlib", reason="pip install '.[plot]'")

from service.plot import chart


def test_long_and_foreign_words_are_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\ufeff北京 is " + "x" * 300, encoding="utf-8")
    assert main([str(path), "--out", str(tmp_path / "a.png")]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("\n") <= 1  # a note if no font has the characters
    assert "4 tokens" in printed.out


def test_line_passes_through_every_token(file: Path, tmp_path: Path, bits: list[float]) -> None:
    out = tmp_path / "surprise.svg"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # depends on the installed fonts
        assert main([str(file), "--out", str(out)]) == 0
    paths = ElementTree.parse(out).getroot().iter("{http://www.w3.org/2000/svg}path")
    heights = [
        [float(y) for y in re.findall(r"[ML] \S+ (\S+)", path.get("d", ""))] for path in paths
    ]
    line = next(path for path in heights if len(path) == len(bits))
    # The y axis of SVG points down and has its own scale.
    low, high = min(bits), max(bits)
    scaled = [(max(line) - y) / (max(line) - min(line)) for y in line]
    assert scaled == pytest.approx([(value - low) / (high - low) for value in bits], abs=1e-3)


def test_long_text_is_drawn_with_its_mean(tmp_path: Path) -> None:
    file, out = tmp_path / "long.txt", tmp_path / "long.png"
    file.write_text("The old river was long.\n" * 50, encoding="utf-8")
    assert main([str(file), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_title_contains_the_note() -> None:
    tokens = [Token(at, at + 1, 1.0, oov=at < 2) for at in range(4)]
    scored = ScoredText("a", "wx\ny", tokens, "bits", "m", 2.0)
    assert chart.chart_title(scored).startswith("a: 4 tokens, 1.00 bits each, perplexity 2.0 (m)\n")
    assert "Note: 2 of 3 tokens (67%)" in chart.chart_title(scored)


def test_space_has_its_own_label() -> None:
    tokens = [Token(*span, 1.0, oov=False) for span in [(0, 1), (1, 2), (2, 4), (4, 5), (5, 5)]]
    scored = ScoredText("a", "a  b\n", tokens, "bits", "m", 2.0)
    assert chart.token_labels(scored) == ["a", "␣", "b", "↵", "↵"]
