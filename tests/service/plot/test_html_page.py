"""The coloured HTML page."""

from pathlib import Path

import pytest

from service.plot.__main__ import main
from service.plot.html_page import COLOURS
from tests.service.plot.conftest import TEXT
from tests.support.plot_page import Page


def test_page_shows_text_and_surprisals(file: Path, tmp_path: Path, bits: list[float]) -> None:
    out = tmp_path / "surprise.html"
    assert main([str(file), "--out", str(out)]) == 0
    page = Page(out.read_text(encoding="utf-8"))
    assert page.text.rstrip("\n") == TEXT
    assert [title for _, _, title in page.tokens] == [f"{value:.2f} bits" for value in bits]
    assert [step for _, step, _ in page.tokens] == [
        min(len(COLOURS) - 1, int(value // 2)) for value in bits
    ]
    assert page.links == []
    assert "<b>" not in out.read_text(encoding="utf-8")


def test_unit_does_not_change_the_colours(file: Path, tmp_path: Path, bits: list[float]) -> None:
    out = tmp_path / "surprise.html"
    assert main([str(file), "--out", str(out), "--unit", "bans"]) == 0
    page = Page(out.read_text(encoding="utf-8"))
    assert [title for _, _, title in page.tokens] == [
        f"{value * 0.30102999566398:.2f} bans" for value in bits
    ]
    assert [step for _, step, _ in page.tokens] == [
        min(len(COLOURS) - 1, int(value // 2)) for value in bits
    ]


def test_lone_carriage_return_does_not_end_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "a.txt", tmp_path / "a.html"
    file.write_bytes(b"the river\rthe city\r\nthe ice\r\n")
    assert main([str(file), "--out", str(out)]) == 0
    # the river the city <eos> the ice <eos>
    assert "8 tokens" in capsys.readouterr().out
    content = out.read_bytes().decode()
    assert "\r" not in content
    assert Page(content).text.rstrip("\n") == "the river\u240dthe city\nthe ice"
    assert [token[0] for token in Page(content).tokens].count("\n") == 1
