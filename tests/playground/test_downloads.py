"""CSV files: their contents, and their safety in parsers and spreadsheets."""

import csv
import io
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.playground.browser import Playground
from tests.support.api_client import ApiClient

CSV = """async ([head, rows]) => {
    const { toCsv } = await import("/playground/csv.js");
    return toCsv(head, rows);
}"""
UNUSUAL_TEXTS = ['say "no"', "a,b", "two\nlines", "cr\rhere", " space ", "河", "", "'s", "plain"]
FORMULAS = ["=1+1", "+1", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "−"]


def download_rows(playground: Playground, name: str) -> list[dict[str, str]]:
    with playground.page.expect_download() as download:
        playground.page.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == name
    content = Path(download.value.path()).read_bytes().decode("utf-8")
    assert content.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(content, newline="")))


def test_parser_reads_the_same_cells(playground: Playground) -> None:
    playground.open(text="The")
    content = playground.page.evaluate(
        CSV, [["text", "number"], [[text, -1.5] for text in UNUSUAL_TEXTS]]
    )
    rows = list(csv.reader(io.StringIO(content, newline=""), strict=True))
    assert rows == [["text", "number"], *([text, "-1.5"] for text in UNUSUAL_TEXTS)]


@pytest.mark.parametrize("text", FORMULAS[:-1])
def test_no_cell_is_a_formula(playground: Playground, text: str) -> None:
    playground.open(text="The")
    content = playground.page.evaluate(CSV, [["text"], [[text]]])
    ((cell,),) = list(csv.reader(io.StringIO(content, newline="")))[1:]
    assert cell == f"'{text}"


def test_csv_contains_every_word(playground: Playground, api: ApiClient) -> None:
    text = 'He said "no", 河 =1+1\nand left'
    tokens = api.score_one(text=text, unit="bits", details=True)["tokens"]
    playground.open(text=text)
    rows = download_rows(playground, "surprisal.csv")
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


def test_offsets_count_from_the_start_of_the_text(playground: Playground) -> None:
    text = "The 👩 river.\n" * 800
    playground.open(text=text)
    rows = download_rows(playground, "surprisal.csv")
    assert len([word for word in rows if word["word"] == "river"]) == 800
    for row in rows:
        if row["word"] != "<eos>":
            assert text[int(row["start"]) : int(row["end"])] == row["word"]


def test_ranking_is_downloadable(playground: Playground, api: ApiClient) -> None:
    lines = [{"text": "=the liver", "score": -1.0}, {"text": "the river", "score": -1.2}]
    results = api.post("/rescore", hypotheses=lines).json()["results"]
    playground.open(view="rescore", hypotheses="-1.0 =the liver\n-1.2 the river")
    rows = download_rows(playground, "ranking.csv")
    assert [row["rank"] for row in rows] == ["1", "2"]
    for row, result in zip(rows, results, strict=True):
        assert row["hypothesis"].lstrip("'") == result["text"]
        assert float(row["total"]) == pytest.approx(result["total"], abs=1e-4)
        assert float(row["score"]) == lines[result["index"]]["score"]
    playground.page.get_by_label("Hypotheses").fill("")
    expect(playground.page.get_by_role("button", name="Download CSV")).to_be_hidden()
