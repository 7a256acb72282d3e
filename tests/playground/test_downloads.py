"""CSV files: what is in them, and that spreadsheets and parsers read it as it was."""

import csv
import io
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.playground.browser import Playground
from tests.support.api_client import ApiClient

CSV = """async ([head, rows]) => {
    const { csv } = await import("/playground/csv.js");
    return csv(head, rows);
}"""
ODD = ['say "no"', "a,b", "two\nlines", "cr\rhere", " space ", "河", "", "'s", "plain"]
FORMULAS = ["=1+1", "+1", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "−"]


def downloaded(playground: Playground, name: str) -> list[dict[str, str]]:
    with playground.page.expect_download() as found:
        playground.page.get_by_role("button", name="Download CSV").click()
    assert found.value.suggested_filename == name
    content = Path(found.value.path()).read_bytes().decode("utf-8")
    assert content.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(content, newline="")))


def test_a_parser_reads_the_same_cells(playground: Playground) -> None:
    playground.open(text="The")
    written = playground.page.evaluate(CSV, [["text", "number"], [[text, -1.5] for text in ODD]])
    rows = list(csv.reader(io.StringIO(written, newline=""), strict=True))
    assert rows == [["text", "number"], *([text, "-1.5"] for text in ODD)]


@pytest.mark.parametrize("text", FORMULAS[:-1])
def test_no_cell_begins_a_formula(playground: Playground, text: str) -> None:
    playground.open(text="The")
    written = playground.page.evaluate(CSV, [["text"], [[text]]])
    ((cell,),) = list(csv.reader(io.StringIO(written, newline="")))[1:]
    assert cell == f"'{text}"


def test_every_word_is_in_the_file(playground: Playground, api: ApiClient) -> None:
    text = 'He said "no", 河 =1+1\nand left'
    tokens = api.score_one(text=text, unit="bits", details=True)["tokens"]
    playground.open(text=text)
    rows = downloaded(playground, "surprisal.csv")
    assert list(rows[0]) == [
        *["word", "start", "end", "tokens", "cross_entropy_bits", "logprob"],
        *["rank", "entropy_bits", "unknown"],
    ]
    for row, token in zip(rows, tokens, strict=True):
        surface = token["text"] if token["text"] == "<eos>" else token["surface"]
        assert row["word"] == (f"'{surface}" if surface in "=+-" else surface)
        assert (int(row["start"]), int(row["end"])) == (token["start"], token["end"])
        for name in ("logprob", "rank"):
            assert float(row[name]) == token[name]
        assert float(row["cross_entropy_bits"]) == token["cross_entropy"]
        assert float(row["entropy_bits"]) == token["entropy"]
        assert row["unknown"] == str(int(token["oov"]))


def test_places_in_a_long_text_are_its_own(playground: Playground) -> None:
    text = "The 👩 river.\n" * 800
    playground.open(text=text)
    rows = downloaded(playground, "surprisal.csv")
    assert len([word for word in rows if word["word"] == "river"]) == 800
    for row in rows:
        if row["word"] != "<eos>":
            assert text[int(row["start"]) : int(row["end"])] == row["word"]


def test_the_ranking_is_a_file(playground: Playground, api: ApiClient) -> None:
    lines = [{"text": "=the liver", "score": -1.0}, {"text": "the river", "score": -1.2}]
    results = api.post("/rescore", hypotheses=lines).json()["results"]
    playground.open(view="rescore", hypotheses="-1.0 =the liver\n-1.2 the river")
    rows = downloaded(playground, "ranking.csv")
    assert [row["rank"] for row in rows] == ["1", "2"]
    for row, result in zip(rows, results, strict=True):
        assert row["hypothesis"].lstrip("'") == result["text"]
        assert float(row["total"]) == pytest.approx(result["total"], abs=1e-4)
        assert float(row["score"]) == lines[result["index"]]["score"]
    playground.page.get_by_label("Hypotheses").fill("")
    expect(playground.page.get_by_role("button", name="Download CSV")).to_be_hidden()
