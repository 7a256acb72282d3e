"""`python -m service.plot`: its pictures and its page say what `LanguageModel.score` says."""

import asyncio
import re
import sys
import warnings
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from service.bundle import Bundle
from service.language_model import LanguageModel
from service.plot.__main__ import main
from service.plot.page import COLOURS
from service.plot.scored import Scored, Token
from service.settings import STARTER_BUNDLE, Settings

TEXT = "The <b>old</b> river & Zxqvyk,\n\n河 $5 and $6 👩‍👧 مدينة cafe\u0301"


@pytest.fixture(scope="session")
def bits() -> list[float]:
    model = LanguageModel(Bundle.load(STARTER_BUNDLE), Settings(threads=1))

    async def score() -> list[float]:
        (found,) = await model.score(await model.read.texts([TEXT]))
        return [float(value) for value in found.logprobs / -0.6931471805599453]

    surprisals = asyncio.run(score())
    model.close()
    return surprisals


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a <text>.txt"
    path.write_text(TEXT + "\n", encoding="utf-8")
    return path


def test_long_words_and_foreign_ones_are_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\ufeff北京 is " + "x" * 300, encoding="utf-8")
    assert main([str(path), "--out", str(tmp_path / "a.png")]) == 0
    said = capsys.readouterr()
    assert said.err.count("\n") <= 1  # where the machine has no font for it
    assert "4 tokens" in said.out


class Page(HTMLParser):
    """The coloured text of a page: all of it, and each token with its step and title."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.text = ""
        self.tokens: list[tuple[str, int, str]] = []
        self.links: list[str] = []
        self._inside = False
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._inside |= given.get("class") == "text"
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "span" and self._inside:
            step = int((given["class"] or "").split()[0].removeprefix("s"))
            self.tokens.append(("", step, given["title"] or ""))
        self._token = tag == "span" and self._inside

    def handle_endtag(self, tag: str) -> None:
        self._token = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.text += data
        if self._inside and self._token:
            self.tokens[-1] = (data, *self.tokens[-1][1:])


def test_a_page_shows_the_text_and_every_figure(
    file: Path, tmp_path: Path, bits: list[float]
) -> None:
    out = tmp_path / "surprise.html"
    assert main([str(file), "--out", str(out)]) == 0
    found = Page(out.read_text(encoding="utf-8"))
    assert found.text.rstrip("\n") == TEXT
    assert [title for _, _, title in found.tokens] == [f"{value:.2f} bits" for value in bits]
    assert [step for _, step, _ in found.tokens] == [
        min(len(COLOURS) - 1, int(value // 2)) for value in bits
    ]
    assert found.links == []
    assert "<b>" not in out.read_text(encoding="utf-8")


def test_a_page_in_another_unit_has_the_same_colours(
    file: Path, tmp_path: Path, bits: list[float]
) -> None:
    out = tmp_path / "surprise.html"
    assert main([str(file), "--out", str(out), "--unit", "bans"]) == 0
    found = Page(out.read_text(encoding="utf-8"))
    assert [title for _, _, title in found.tokens] == [
        f"{value * 0.30102999566398:.2f} bans" for value in bits
    ]
    assert [step for _, step, _ in found.tokens] == [
        min(len(COLOURS) - 1, int(value // 2)) for value in bits
    ]


def test_a_picture_passes_through_every_token(
    file: Path, tmp_path: Path, bits: list[float]
) -> None:
    pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
    out = tmp_path / "surprise.svg"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of whatever fonts are here
        assert main([str(file), "--out", str(out)]) == 0
    paths = ElementTree.parse(out).getroot().iter("{http://www.w3.org/2000/svg}path")
    heights = [
        [float(y) for y in re.findall(r"[ML] \S+ (\S+)", path.get("d", ""))] for path in paths
    ]
    line = next(found for found in heights if len(found) == len(bits))
    # Upside down, and on the picture's own scale.
    low, high = min(bits), max(bits)
    scaled = [(max(line) - y) / (max(line) - min(line)) for y in line]
    assert scaled == pytest.approx([(value - low) / (high - low) for value in bits], abs=1e-3)


def test_a_long_text_is_drawn_with_its_mean(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
    file, out = tmp_path / "long.txt", tmp_path / "long.png"
    file.write_text("The old river was long.\n" * 50, encoding="utf-8")
    assert main([str(file), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


FOREIGN = "Zxqvyk brmlt the river\nqqrrst\n"
NOTE = "3 of 5 tokens (60%) are unknown words: the perplexity flatters"


@pytest.mark.parametrize("kind", ["html", "svg"])
def test_many_unknown_words_flatter_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    if kind == "svg":
        pytest.importorskip("matplotlib", reason="pip install 'tiedlm[plot]'")
    file, out = tmp_path / "a.txt", tmp_path / f"a.{kind}"
    file.write_text(FOREIGN, encoding="utf-8")
    assert main([str(file), "--out", str(out)]) == 0
    assert f"\nnote: {NOTE}" in capsys.readouterr().out
    content = out.read_text(encoding="utf-8")
    if kind == "html":
        assert f"Note: {NOTE}, because &lt;unk&gt; is cheap" in content
    file.write_text("The old river was long and the city of Zxqvyk was old.", encoding="utf-8")
    assert main([str(file), "--out", str(out)]) == 0
    assert "note" not in capsys.readouterr().out
    assert "Note" not in out.read_text(encoding="utf-8")


def test_the_title_of_a_picture_has_the_note() -> None:
    pytest.importorskip("matplotlib", reason="pip install 'tiedlm[plot]'")
    from service.plot import picture

    tokens = [Token(at, at + 1, 1.0, oov=at < 2) for at in range(4)]
    scored = Scored("a", "wx\ny", tokens, "bits", "m", 2.0)
    assert picture.title_of(scored).startswith("a: 4 tokens, 1.00 bits each, perplexity 2.0 (m)\n")
    assert "Note: 2 of 3 tokens (67%)" in picture.title_of(scored)


def test_a_space_alone_is_no_line_end_in_a_picture() -> None:
    pytest.importorskip("matplotlib", reason="pip install 'tiedlm[plot]'")
    from service.plot import picture

    tokens = [Token(*span, 1.0, oov=False) for span in [(0, 1), (1, 2), (2, 4), (4, 5), (5, 5)]]
    scored = Scored("a", "a  b\n", tokens, "bits", "m", 2.0)
    assert picture.labels(scored) == ["a", "␣", "b", "↵", "↵"]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


def test_what_cannot_be_done_is_said_in_a_line(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "x.html")
    assert ".png, .svg, .html" in refusal(capsys, str(file), "--out", "x.gif")
    assert "No such file" in refusal(capsys, str(tmp_path / "none.txt"), "--out", out)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert "not UTF-8" in refusal(capsys, str(tmp_path / "latin.txt"), "--out", out)
    assert "bundle" in refusal(capsys, str(file), "--out", out, "--bundle", str(tmp_path))
    assert "No such file" in refusal(capsys, str(file), "--out", str(tmp_path / "no" / "x.html"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "service.plot.picture", raising=False)
    message = refusal(capsys, str(file), "--out", str(tmp_path / "x.png"))
    assert "pip install '.[plot]'" in message
    assert main([str(file), "--out", out]) == 0
