"""Jobs with documents that are not scored: rows of nulls, and empty outputs."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas
import pyarrow.parquet
import pytest
import zstandard

from service.bulk.job import Job
from tests.support.api_client import ApiClient
from tests.support.bulk_job import Jobs, rows

LINES = [
    b'{"text": "The river", "key": "a"}',
    b'{"text": "", "key": "b"}',
    b'{"text": 5, "key": "c"}',
    b"not JSON",
    b'{"text": "The city of London", "key": "e"}',
]
KEYS = ["a", "b", "c", None, "e"]
SCORED = [0, 4]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join(LINES) + b"\n")
    return path


@pytest.fixture
def answers(api: ApiClient) -> list[dict[str, Any]]:
    return list(api.score(texts=["The river", "The city of London"])["results"])


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_rows_are_kept_as_nulls(
    jobs: Jobs, source: Path, answers: list[dict[str, Any]], name: str
) -> None:
    out = source.parent / name
    flags = ("--keep-rows", "--tokens", "--text", "--id", "key", "--errors", source.parent / "e")
    summary = jobs.summary(source, "--out", out, *flags)
    found = rows(out) if name == "out.jsonl" else pyarrow.parquet.read_table(out).to_pylist()
    assert [row["line"] for row in found] == [1, 2, 3, 4, 5]
    assert [row["id"] for row in found] == KEYS
    names = {"text", *answers[0]}
    for index, row in enumerate(found):
        assert row.keys() == {"input", "line", "id", *names}
        assert (row["token_count"] is None) == (index not in SCORED)
        if index not in SCORED:
            assert {row[name] for name in names} == {None}
    assert found[0] | answers[0] == found[0]
    assert found[4] | answers[1] == found[4]
    assert summary["documents"] == 2
    assert len(rows(source.parent / "e")) == 3


def test_kept_rows_are_empty_cells(jobs: Jobs, source: Path) -> None:
    out = source.parent / "out.tsv"
    jobs.summary(source, "--out", out, "--keep-rows", "--id", "key")
    table = pandas.read_csv(out, sep="\t")
    assert table["line"].tolist() == [1, 2, 3, 4, 5]
    assert table["mean_cross_entropy"].isna().tolist() == [False, True, True, True, False]


def test_kenlms_lines_are_the_inputs_lines(jobs: Jobs, source: Path) -> None:
    out = source.parent / "out"
    jobs.summary(source, "--out", out, "--format", "kenlm-query", "--keep-rows")
    lines = out.read_text().split("\n")
    assert [bool(line) for line in lines[:5]] == [True, False, False, False, True]
    assert lines[5].startswith("Perplexity including OOVs:")


def test_surprisals_keep_a_line_for_each_document(jobs: Jobs, source: Path) -> None:
    out = source.parent / "out.tsv"
    jobs.summary(source, "--out", out, "--format", "surprisal-tsv", "--keep-rows")
    table = pandas.read_csv(out, sep="\t")
    assert sorted(set(table["sentence_id"])) == [1, 2, 3, 4, 5]
    kept = table[table["surprisal"].isna()]
    assert kept["sentence_id"].tolist() == [2, 3, 4]
    assert kept["token"].isna().all()


@pytest.mark.parametrize("calibrated", [False, True])
def test_kept_rows_are_in_no_bucket(jobs: Jobs, source: Path, calibrated: bool) -> None:
    more: list[str | Path] = []
    if calibrated:
        jobs.summary("calibrate", source, "--out", source.parent / "table.json")
        more = ["--calibration", source.parent / "table.json"]
    out = source.parent / "out.jsonl"
    jobs.summary(source, "--out", out, "--buckets", "40,60", "--keep-rows", *more)
    found = rows(out)
    assert [row["bucket"] is None for row in found] == [False, True, True, True, False]
    assert all(row["percentile"] is None for row in found[1:4] if calibrated)


def test_other_row_options_are_another_job(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.bulk.document.BLOCK_DOCUMENTS", 1)
    out = source.parent / "out.jsonl"
    assert jobs(source, "--out", out, "--strict") == 1
    assert jobs(source, "--out", out, "--keep-rows") == 1
    assert "keep_rows changed" in jobs.errors


@pytest.mark.parametrize("buckets", [[], ["--buckets", "30,60"]])
@pytest.mark.parametrize(("suffix", "test"), [(".gz", "gzip"), (".zst", "zstd")])
def test_empty_compressed_output_is_valid(
    jobs: Jobs, tmp_path: Path, suffix: str, test: str, buckets: list[str]
) -> None:
    (tmp_path / "in.txt").write_bytes(b"\n\n")
    out, errors = tmp_path / f"out.jsonl{suffix}", tmp_path / f"errors{suffix}"
    assert jobs(tmp_path / "in.txt", "--out", out, *buckets) == 0
    (tmp_path / "good.txt").write_bytes(b"The river\n")
    assert jobs(tmp_path / "good.txt", "--out", tmp_path / "o.jsonl", "--errors", errors) == 0
    for path in (out, errors):
        content = path.read_bytes()
        found = gzip.decompress(content) if suffix == ".gz" else unpacked_zstd(content)
        assert content
        assert found == b""
        if shutil.which(test):
            subprocess.run([test, "-t", path], check=True, capture_output=True)


def unpacked_zstd(content: bytes) -> bytes:
    """Decompress a complete frame that nothing follows."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    found = frame.decompress(content)
    assert frame.eof
    assert frame.unused_data == b""
    return found


@pytest.mark.parametrize(
    ("content", "documents", "code"),
    [
        (b'{"a": 1}\n{"text": 5}\n', 0, 1),
        (b'{"text": ""}\n{"text": 5}\n', 0, 1),
        (b'{"text": "The river"}\n{"text": 5}\n', 1, 0),
        (b'{"text": " "}\n', 0, 0),
        (b"", 0, 0),
    ],
)
def test_a_job_with_all_documents_refused_fails(
    jobs: Jobs, tmp_path: Path, content: bytes, documents: int, code: int
) -> None:
    (tmp_path / "in.jsonl").write_bytes(content)
    for name in ("out.jsonl", "out.parquet"):
        assert jobs(tmp_path / "in.jsonl", "--out", tmp_path / name, "--json") == code
        assert json.loads(jobs.output.getvalue())["documents"] == documents
        assert ("error: no document could be scored" in jobs.errors) == bool(code)


def test_kept_rows_resume_to_the_same_bytes(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.bulk.document.BLOCK_DOCUMENTS", 2)
    source.write_bytes((b"\n".join(LINES) + b"\n") * 4)
    whole, out = source.parent / "whole.jsonl", source.parent / "out.jsonl"
    jobs.summary(source, "--out", whole, "--keep-rows")
    with monkeypatch.context() as patch:
        patch.setattr("service.bulk.job.Job._write", stopped_after(4))
        assert jobs(source, "--out", out, "--keep-rows") == 130
    assert (source.parent / "out.jsonl.state").exists()
    jobs.summary(source, "--out", out, "--keep-rows")
    assert out.read_bytes() == whole.read_bytes()
    assert len(rows(out)) == 20


def test_an_empty_calibration_leaves_no_files(jobs: Jobs, tmp_path: Path) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "fix.json"
    source.write_text("\n\n")
    arguments = ("calibrate", source, "--out", out, "--errors", tmp_path / "errors.jsonl")
    assert jobs(*arguments) == 1
    assert "no text was scored" in jobs.errors
    assert list(tmp_path.iterdir()) == [source]
    source.write_text("The river\n")
    assert jobs(*arguments) == 0


def stopped_after(blocks: int) -> Any:
    """Return a method that writes blocks, and is interrupted after some of them."""
    write, left = Job._write, iter(range(blocks))

    def wrapped(*arguments: Any) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write(*arguments)

    return wrapped
