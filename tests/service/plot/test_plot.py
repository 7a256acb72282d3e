"""`python -m service.plot`: its pictures and its page say what `LanguageModel.score` says."""

import asyncio
import gzip
import io
import os
import re
import sys
import warnings
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import zstandard

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
        (found,) = await model.score(await model.encoder.encode_texts([TEXT]))
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
NOTE = "3 of 5 tokens (60%) are unknown words: the perplexity is too low"


@pytest.mark.parametrize("kind", ["html", "svg"])
def test_many_unknown_words_flatter_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    if kind == "svg":
        pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
    file, out = tmp_path / "a.txt", tmp_path / f"a.{kind}"
    file.write_text(FOREIGN, encoding="utf-8")
    assert main([str(file), "--out", str(out)]) == 0
    assert f"\nnote: {NOTE}" in capsys.readouterr().out
    content = out.read_text(encoding="utf-8")
    if kind == "html":
        assert f"Note: {NOTE}, because &lt;unk&gt; is cheap" in content
    file.write_text("The old river was long and the city of Zxqvyk was old.", encoding="utf-8")
    assert main([str(file), "--out", str(out), "--overwrite"]) == 0
    assert "note" not in capsys.readouterr().out
    assert "Note" not in out.read_text(encoding="utf-8")


def test_the_title_of_a_picture_has_the_note() -> None:
    pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
    from service.plot import picture

    tokens = [Token(at, at + 1, 1.0, oov=at < 2) for at in range(4)]
    scored = Scored("a", "wx\ny", tokens, "bits", "m", 2.0)
    assert picture.title_of(scored).startswith("a: 4 tokens, 1.00 bits each, perplexity 2.0 (m)\n")
    assert "Note: 2 of 3 tokens (67%)" in picture.title_of(scored)


def test_a_space_alone_is_no_line_end_in_a_picture() -> None:
    pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
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


def test_a_lone_carriage_return_ends_no_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "a.txt", tmp_path / "a.html"
    file.write_bytes(b"the river\rthe city\r\nthe ice\r\n")
    assert main([str(file), "--out", str(out)]) == 0
    # the river the city <eos> the ice <eos>
    assert "8 tokens" in capsys.readouterr().out
    page = out.read_bytes().decode()
    assert "\r" not in page
    assert Page(page).text.rstrip("\n") == "the river\u240dthe city\nthe ice"
    assert [token[0] for token in Page(page).tokens].count("\n") == 1


CONTROLS = "a\0b\x01\x08\x0b\x0c\x1b[31mc\x1f\x7f\x85\ufffe\uffff d"


@pytest.mark.parametrize("kind", ["svg", "html"])
def test_control_characters_are_shown_as_signs(tmp_path: Path, kind: str) -> None:
    if kind == "svg":
        pytest.importorskip("matplotlib", reason="pip install '.[plot]'")
    file, out = tmp_path / "a\x02\nb.txt", tmp_path / f"a.{kind}"
    file.write_text(CONTROLS, encoding="utf-8")
    assert main([str(file), "--out", str(out)]) == 0
    written = out.read_bytes().decode()
    found = "".join(sorted({c for c in written if ord(c) < 32 or 127 <= ord(c) < 160} - {"\n"}))
    assert found == ""
    assert not {"\ufffe", "\uffff"} & set(written)
    if kind == "svg":
        assert ElementTree.parse(out).getroot().tag.endswith("svg")
    else:
        shown = "a␀b␁␈␋␌␛[31mc␟␡\ufffd\ufffd\ufffd d"
        assert Page(written).text.rstrip("\n") == shown
        assert "<title>Surprisal of a␂␊b.txt</title>" in written


def test_compressed_text_is_drawn_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = b"the river\nthe city\n"
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text))
    (tmp_path / "a.txt.zst").write_bytes(zstandard.ZstdCompressor().compress(text))
    for name in ("a.txt.gz", "a.txt.zst"):
        assert main([str(tmp_path / name), "--out", str(tmp_path / f"{name}.html")]) == 0
        assert "6 tokens" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_truncated_text_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    pack = gzip.compress if suffix == ".gz" else zstandard.ZstdCompressor().compress
    file, out = tmp_path / f"a.txt{suffix}", tmp_path / "a.html"
    file.write_bytes(pack(b"one\n") + pack(b"two\n" * 1000)[:-5])
    assert "a.txt" + suffix + ", after line " in (
        said := refusal(capsys, str(file), "--out", str(out))
    )
    assert "the file is damaged" in said
    assert not out.exists()


def test_an_existing_file_is_replaced_on_request(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.html"
    out.write_text("years of work")
    assert "already exists; use --overwrite" in refusal(capsys, str(file), "--out", str(out))
    assert out.read_text() == "years of work"
    assert main([str(file), "--out", str(out), "--overwrite"]) == 0
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, "mine.html"]


@pytest.mark.parametrize("link", ["itself", "hard", "symbolic"])
def test_the_picture_never_replaces_the_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], link: str
) -> None:
    file = tmp_path / "thesis.html"
    file.write_text("The river", encoding="utf-8")
    out = file if link == "itself" else tmp_path / "other.html"
    if link == "hard":
        os.link(file, out)
    if link == "symbolic":
        out.symlink_to(file)
    assert "is the input" in refusal(capsys, str(file), "--out", str(out), "--overwrite")
    assert file.read_text(encoding="utf-8") == "The river"


def test_the_picture_never_replaces_the_bundle(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "manifest.html").write_text("a file of the bundle")
    arguments = (str(file), "--out", str(bundle / "manifest.html"), "--bundle", str(bundle))
    assert "is the input" in refusal(capsys, *arguments, "--overwrite")


def test_standard_input_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"the river\n")
    os.close(writing)
    kept = os.dup(0)
    os.dup2(reading, 0)
    try:
        assert main(["-", "--out", str(tmp_path / "a.html")]) == 0
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(reading)
    assert "3 tokens" in capsys.readouterr().out
    assert "<h1>standard input</h1>" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_names_beyond_the_terminal_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", printed)
    (tmp_path / "河.txt").write_text("The river", encoding="utf-8")
    assert main([str(tmp_path / "河.txt"), "--out", str(tmp_path / "河.html")]) == 0
    printed.flush()
    assert b"\\u6cb3.html: 3 tokens" in printed.buffer.getvalue()
