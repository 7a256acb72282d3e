"""Every format contains the values that `/score` returns."""

import gzip
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import zstandard

from service.bulk.document import Document, Position
from service.bulk.output.kenlm import query_lines, summary_lines
from service.inference.engine import Decoded
from service.language_model import LanguageModel
from service.results.text_score import text_score
from service.scoring import Totals
from service.text.tokenized_text import TokenizedText
from tests.support.api_client import ApiClient
from tests.support.bulk_job import Jobs, rows
from tests.support.subword_tokenizers import BYTE_PAIRS

TEXTS = ["The city of Zxqvyk", "a", "on the\triver\nbank, \\ the", "He was <unk> in London ."]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"text": t, "n": [t[0]]}) + "\n" for t in TEXTS))
    return path


@pytest.fixture
def answers(api: ApiClient) -> list[dict[str, Any]]:
    return list(api.score(texts=TEXTS)["results"])


def test_rows_are_the_results_of_score(
    jobs: Jobs, source: Path, answers: list[dict[str, Any]]
) -> None:
    out = source.parent / "out.jsonl"
    summary = jobs.summary(source, "--out", out, "--tokens", "--text", "--id", "n")
    heads = [
        {"input": str(source), "line": line, "id": [text[0]], "text": text}
        for line, text in enumerate(TEXTS, 1)
    ]
    assert rows(out) == [{**head, **row} for head, row in zip(heads, answers, strict=True)]
    assert summary["documents"] == 4
    assert summary["token_count"] == sum(row["token_count"] for row in answers)


def test_the_summary_is_that_of_score(jobs: Jobs, source: Path, api: ApiClient) -> None:
    expected = api.score(texts=TEXTS, unit="bits", tokens=False)["summary"]
    found = jobs.summary(source, "--out", source.parent / "out.jsonl", "--unit", "bits")
    for name, figure in expected.items():
        assert found[name] == pytest.approx(figure, rel=1e-12)
    assert found["unit"] == "bits"
    assert found["tokens_per_second"] > 0


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_tsv_reads_back_exactly(
    jobs: Jobs, source: Path, answers: list[dict[str, Any]], suffix: str
) -> None:
    out = source.parent / f"out.tsv{suffix}"
    jobs.summary(source, "--out", out, "--text")
    content = out.read_bytes()
    if suffix == ".gz":
        content = gzip.decompress(content)
    if suffix == ".zst":
        content = zstandard.ZstdDecompressor().stream_reader(content).readall()
    lines = [line.split("\t") for line in content.decode().splitlines()]
    for text, answer, line in zip(TEXTS, answers, lines[1:], strict=True):
        row = dict(zip(lines[0], line, strict=True))
        assert row["text"].encode().decode("unicode_escape") == text
        for name, figure in answer.items():
            if name != "tokens":
                assert row[name] == ("" if figure is None else repr(figure))


def test_parquet_has_the_same_rows(jobs: Jobs, source: Path, answers: list[dict[str, Any]]) -> None:
    out = source.parent / "out.parquet"
    jobs.summary(source, "--out", out, "--tokens", "--id", "n")
    table = pyarrow.parquet.read_table(out)
    heads = [
        {"input": str(source), "line": line, "id": json.dumps([text[0]])}
        for line, text in enumerate(TEXTS, 1)
    ]
    assert table.to_pylist() == [{**h, **row} for h, row in zip(heads, answers, strict=True)]


@pytest.mark.parametrize("name", [b"a:b", b"s3:x", b"file:a", b"caf\xe9"])
def test_parquet_has_any_name(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    monkeypatch.chdir(tmp_path)  # a name that begins with a / is not a URI
    Path("in.txt").write_text("The river\n")
    out = Path(os.fsdecode(name + b".parquet"))
    for more in ((), ("--overwrite",), ("--overwrite", "--buckets", "30,60")):
        assert jobs("in.txt", "--out", out, *more) == 0, jobs.errors
    (part,) = out.iterdir()
    with part.open("rb") as file:
        assert pyarrow.parquet.read_table(file)["line"].to_pylist() == [1]


def test_parquet_of_nothing_has_its_columns(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"\n")
    jobs.summary(tmp_path / "in.txt", "--out", tmp_path / "out.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert table.num_rows == 0
    assert table.column_names[:3] == ["input", "line", "token_count"]


Sentence = tuple[list[tuple[str, int, int, float]], float, int]


def parse_query(text: str) -> tuple[list[Sentence], dict[str, float]]:
    """Parse KenLM's `query`: cells are separated by tabs, ids and figures by spaces."""
    lines = text.split("\n")
    sentences = []
    for line in lines[:-5]:
        *words, totals = line.split("\t")
        cells = []
        for word in words:
            cell, length, log10prob = word.rsplit(" ", 2)
            surface, _, token = cell.rpartition("=")
            cells.append((surface, int(token), int(length), float(log10prob)))
        label, total, oov_label, oov = totals.split(" ")
        assert (label, oov_label) == ("Total:", "OOV:")
        sentences.append((cells, float(total), int(oov)))
    summary = dict(line.split(":\t") for line in lines[-5:-1])
    assert lines[-1] == ""
    return sentences, {name: float(figure) for name, figure in summary.items()}


def test_kenlm_query_is_in_its_layout(jobs: Jobs, tmp_path: Path, api: ApiClient) -> None:
    texts = [text for text in TEXTS if "\n" not in text]
    (tmp_path / "in.txt").write_text("\n".join(texts))
    out = tmp_path / "out"
    jobs.summary(tmp_path / "in.txt", "--out", out, "--format", "kenlm-query")
    sentences, summary = parse_query(out.read_text())
    answer = api.score(texts=texts, unit="bans")
    assert len(sentences) == len(texts)
    for text, (cells, total, oov), result in zip(texts, sentences, answer["results"], strict=True):
        tokens = result["tokens"]
        surfaces = [text[t["start"] : t["end"]] for t in tokens[:-1]]
        assert [cell[0] for cell in cells] == [*surfaces, "</s>"]
        assert [cell[1] for cell in cells] == [t["id"] for t in tokens]
        assert [cell[1] == 0 for cell in cells] == [t["oov"] for t in tokens]
        assert [cell[2] for cell in cells] == list(range(2, len(tokens) + 2))
        expected = [-t["cross_entropy"] for t in tokens]
        assert [cell[3] for cell in cells] == pytest.approx(expected, rel=1e-6)
        assert total == pytest.approx(-result["total_cross_entropy"], rel=1e-8)
        assert oov == result["oov_count"]
    figures = answer["summary"]
    assert summary == {
        "Perplexity including OOVs": pytest.approx(figures["perplexity"], rel=1e-8),
        "Perplexity excluding OOVs": pytest.approx(figures["perplexity_excluding_oov"], rel=1e-8),
        "OOVs": figures["oov_count"],
        "Tokens": figures["token_count"],
    }


def test_kenlm_query_of_subwords_is_by_word(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = " the cat\ncaca"
    encoding = BYTE_PAIRS.encode(text)
    passage = TokenizedText(text, encoding.ids, encoding.starts, encoding.ends, 3)
    ids = np.append(encoding.ids, BYTE_PAIRS.end_id)
    logprobs = -np.arange(1, len(ids) + 1, dtype=np.float32)
    score = text_score(passage, ids, Decoded(logprobs), BYTE_PAIRS.unknown_id, None)
    info = replace(
        model.info, subword=True, end_id=BYTE_PAIRS.end_id, unknown_id=BYTE_PAIRS.unknown_id
    )
    monkeypatch.setattr(model, "info", info)
    document = Document("", 1, 1, text, None, None, 1, Position())
    ((cells, total, oov),), _ = parse_query(
        query_lines(model, [(document, score)]).decode() + "a:\t1\n" * 4
    )
    assert [cell[0] for cell in cells] == ["the", "cat", "</s>", "caca", "</s>"]
    assert all(cell[1] > 0 for cell in cells)
    assert sum(cell[3] for cell in cells) == pytest.approx(total, rel=1e-6)
    assert total == pytest.approx(logprobs.sum() / math.log(10), rel=1e-6)
    assert oov == 0


def test_surprisal_has_a_line_for_each_token(
    jobs: Jobs, source: Path, api: ApiClient, tmp_path: Path
) -> None:
    out = tmp_path / "out.tsv"
    jobs.summary(source, "--out", out, "--format", "surprisal-tsv")
    lines = [line.split("\t") for line in out.read_text().splitlines()]
    assert lines[0] == ["sentence_id", "token_id", "token", "surprisal"]
    expected = []
    for sentence, (text, result) in enumerate(
        zip(TEXTS, api.score(texts=TEXTS, unit="bits")["results"], strict=True), 1
    ):
        for position, token in enumerate(result["tokens"], 1):
            surface = "<eos>" if token["id"] == 1 else text[token["start"] : token["end"]]
            spelled = surface.replace("\\", "\\\\")
            expected.append((str(sentence), str(position), spelled, repr(token["cross_entropy"])))
    assert [tuple(line) for line in lines[1:]] == expected


FOREIGN = ["Zxqvyk brmlt the river", "qqrrst", "the old river"]


def test_many_unknown_words_add_a_note(jobs: Jobs, tmp_path: Path) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("\n".join(FOREIGN) + "\n")
    note = "3 of 8 tokens (38%) are unknown words: the perplexity is too low"
    summary = jobs.summary(source, "--out", out)
    assert (summary["oov_count"], summary["token_count"]) == (3, 8 + 3)
    assert summary["note"].startswith(note)
    assert jobs(source, "--out", out, "--overwrite") == 0
    assert f"\nnote: {note}" in jobs.output.getvalue()
    # One word of ten is not more than a tenth.
    source.write_text("the old river was long and the city Zxqvyk .\n")
    summary = jobs.summary(source, "--out", out, "--overwrite")
    assert (summary["oov_count"], summary["token_count"]) == (1, 11)
    assert "note" not in summary


def test_token_rows_have_surfaces_of_the_text(jobs: Jobs, source: Path) -> None:
    surfaces = []
    for name in ("out.jsonl", "out.parquet"):
        out = source.parent / name
        jobs.summary(source, "--out", out, "--tokens")
        found = rows(out) if name == "out.jsonl" else pyarrow.parquet.read_table(out).to_pylist()
        surfaces.append([[token["surface"] for token in row["tokens"]] for row in found])
        for text, row in zip(TEXTS, found, strict=True):
            for token in row["tokens"]:
                assert token["surface"] == text[token["start"] : token["end"]]
    assert surfaces[0] == surfaces[1]
    assert surfaces[0][0] == ["The", "city", "of", "Zxqvyk", ""]
    assert surfaces[0][2] == ["on", "the", "river", "\n", "bank", ",", "\\", "the", ""]


def test_kenlm_summary_of_extreme_totals(jobs: Jobs) -> None:
    assert summary_lines(Totals()).decode() == (
        "Perplexity including OOVs:\tnan\nPerplexity excluding OOVs:\tnan\nOOVs:\t0\nTokens:\t0\n"
    )
    assert b"OOVs:\tinf\n" in summary_lines(Totals(nats=1e6, tokens=1))
