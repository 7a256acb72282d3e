"""TSV output of service.bulk, read by pandas, R and awk with their defaults."""

import json
import math
import shutil
import subprocess
from pathlib import Path

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bulk.output.tsv import escape, header, row_encoder
from tests.support.bulk_job import Jobs, rows

TEXTS = [
    'He said "no" .',
    '" opened and never closed',
    'a closing one "',
    '"',
    '""',
    "it 's 5' 3\" tall",
    "a tab\there",
    "a line\nand another\r\nand a third\rand a fourth",
    "C:\\new\\table \\u0022",
    "NA",
    "null",
    "nan",
    "None",
    "N/A",
    "<NA>",
    "NaN in a sentence",
    "# no comment",
    " spaces around ",
    "a NUL \0 and a bell \a",
    "ends \u2028 \u2029 \x85 \x0b \x0c \x1c",
    "naïve 河 🙂",
    "\\",
    "'",
    "1e5",
    "TRUE",
    "-nan",
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    lines = [json.dumps({"text": text, "key": text}) + "\n" for text in TEXTS]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def text_of(cell: str) -> str:
    """Return the text of a cell, which is the inside of a JSON string."""
    return str(json.loads(f'"{cell}"'))


def read_delim(content: str) -> list[list[str]]:
    """Parse as R's `read.delim` does: between quotes, tabs and line ends are text."""
    table, row, cell, quoted = list[list[str]](), list[str](), "", False
    for character in content:
        if character == '"':
            quoted = not quoted
        elif character == "\t" and not quoted:
            row, cell = [*row, cell], ""
        elif character in "\n\r" and not quoted:
            table, row, cell = [*table, [*row, cell]], [], ""
        else:
            cell += character
    assert not quoted
    return table


def awk(path: Path) -> list[list[str]]:
    program = 'BEGIN { FS = "\\t"; OFS = "\\036" } { $1 = $1; print }'
    done = subprocess.run(["awk", program, path], capture_output=True, check=True)
    return [line.split("\x1e") for line in done.stdout.decode().split("\n")[:-1]]


def test_pandas_reads_a_row_for_each_document(jobs: Jobs, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tsv"
    jobs.summary(source, "--out", out, "--text", "--id", "key")
    jobs.summary(source, "--out", tmp_path / "out.jsonl", "--text", "--id", "key")
    table = pandas.read_csv(out, sep="\t")
    expected = rows(tmp_path / "out.jsonl")
    assert [text_of(cell) for cell in table["text"]] == TEXTS
    assert [text_of(cell) for cell in table["id"]] == TEXTS
    for name in ("line", "token_count", "perplexity", "mean_cross_entropy"):
        assert table[name].tolist() == [row[name] for row in expected]


def test_pandas_reads_a_row_for_each_token(jobs: Jobs, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.tsv"
    jobs.summary(source, "--out", out, "--format", "surprisal-tsv")
    jobs.summary(source, "--out", tmp_path / "out.jsonl", "--tokens", "--unit", "bits")
    table = pandas.read_csv(out, sep="\t")
    expected = [
        (sentence, token["text"] if token["id"] == 1 else text[token["start"] : token["end"]])
        for sentence, (text, row) in enumerate(
            zip(TEXTS, rows(tmp_path / "out.jsonl"), strict=True), 1
        )
        for token in row["tokens"]
    ]
    found = zip(table["sentence_id"].tolist(), map(text_of, table["token"]), strict=True)
    assert list(found) == expected
    assert {'"', "NA", "null", "nan", "None"} <= {text for _, text in expected}
    assert not table["surprisal"].isna().any()


@pytest.mark.parametrize("arguments", [("--text", "--id", "key"), ("--format", "surprisal-tsv")])
def test_r_and_awk_read_the_rows_of_pandas(
    jobs: Jobs, source: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    out = tmp_path / "out.tsv"
    jobs.summary(source, "--out", out, *arguments)
    table = pandas.read_csv(out, sep="\t", dtype=str)
    cells = [table.columns.tolist(), *table.to_numpy().tolist()]
    of_pandas = [["" if isinstance(c, float) and math.isnan(c) else c for c in r] for r in cells]
    assert awk(out) == of_pandas
    assert read_delim(out.read_bytes().decode()) == of_pandas


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="needs R")
@pytest.mark.parametrize("arguments", [("--text", "--id", "key"), ("--format", "surprisal-tsv")])
def test_r_itself_reads_these_rows(
    jobs: Jobs, source: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    out = tmp_path / "out.tsv"
    jobs.summary(source, "--out", out, *arguments)
    program = (
        "options(encoding = 'UTF-8'); t <- read.delim(commandArgs(TRUE)[1]); "
        "cat(nrow(t), ncol(t), '\\n'); cat(as.character(t[[if ('text' %in% names(t)) 'text' else "
        "'token']]), sep = '\\n')"
    )
    done = subprocess.run(["Rscript", "-e", program, out], capture_output=True, check=True)
    size, *texts = done.stdout.decode().split("\n")
    expected = [line.split("\t") for line in out.read_bytes().decode().split("\n")[1:-1]]
    column = 3 if "--text" in arguments else 2
    assert size.split() == [str(len(expected)), str(len(expected[0]))]
    assert texts[: len(expected)] == [row[column] for row in expected]
    assert done.stderr == b""


@given(texts=st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_any_text_is_one_cell(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("tsv") / "out.tsv"
    names = ["line", "text", "last"]
    given_rows = [{"line": n, "text": text, "last": 0.5} for n, text in enumerate(texts)]
    path.write_bytes(header(names) + row_encoder(names)(given_rows))
    table = pandas.read_csv(path, sep="\t", dtype={"text": str})
    assert table["last"].tolist() == [0.5] * len(texts)
    assert ["" if pandas.isna(cell) else text_of(cell) for cell in table["text"]] == texts
    assert len(path.read_bytes().decode().splitlines()) == len(texts) + 1
    for text in texts:
        assert text_of(escape(text)) == text


def test_ordinary_text_is_written_as_it_stands() -> None:
    for text in ("The river , 3.5 % – naïve 河 🙂 'quoted' #1", "nanny", "NAT", " NA"):
        assert escape(text) == text
    assert escape('a "b"\t\\\n') == "a \\u0022b\\u0022\\t\\\\\\n"
    assert escape("NA") == "\\u004eA"
