"""An odd document, file or argument never ends a job in a traceback or damages the others."""

import gzip
import json
import os
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from service.bulk.document import Position
from service.bulk.input.readers import Reader
from service.bulk.input.splits import split_inputs
from service.bulk.input.text_parser import Source
from service.errors import JobError
from tests.support.bulk_job import Jobs, rows

HUGE = "99999999999999999999"
DEEP = "[" * 5000 + "]" * 5000
# Members next to the text, none of which makes the text a problem.
MEMBERS = [
    '"x": NaN',
    '"x": [Infinity, -Infinity]',
    '"x": "\\ud800"',
    '"\\udfff": 1',
    '"x": 1e999999999999',
    '"x": -' + "9" * 10_000,
    '"x": ' + "[" * 600 + "]" * 600,
    '"x": 1, "x": 2',
]
# Lines that are refused, and why.
REFUSED = {
    '{"text": "\\ud800"}': "invalid_json",
    f'{{"text": "a", "x": {DEEP}}}': "invalid_json",
    f'{{"text": {DEEP}}}': "invalid_json",
    '{"text": 1e400}': "not_text",
    '{"text": NaN}': "not_text",
    "NaN": "invalid_json",
    DEEP: "invalid_json",
    '{"text": "a"} {}': "invalid_json",
    "\\u0000": "invalid_json",
}


def write(path: Path, table: "pyarrow.Table", **how: object) -> Path:
    pyarrow.parquet.write_table(table, path, **how)
    return path


def texts(path: Path) -> list[str]:
    return [document.text for document in Reader([path], Source()).documents(Position())]


def test_odd_members_do_not_refuse_a_text(jobs: Jobs, tmp_path: Path) -> None:
    lines = [f'{{"text": "The river {n}", {m}}}\n' for n, m in enumerate(MEMBERS)]
    (tmp_path / "in.jsonl").write_text("".join(lines))
    out = tmp_path / "out.jsonl"
    summary = jobs.summary(tmp_path / "in.jsonl", "--out", out, "--text", "--id", "x")
    assert summary["problems"] == {}
    expected = [f"The river {n}" for n in range(len(MEMBERS))]
    assert [
        json.loads(line, parse_int=str)["text"] for line in out.read_bytes().splitlines()
    ] == expected


def test_odd_lines_are_refused_alone(jobs: Jobs, tmp_path: Path) -> None:
    good = '{"text": "The river"}'
    (tmp_path / "in.jsonl").write_text("\n".join(f"{line}\n{good}" for line in REFUSED))
    out, errors = tmp_path / "out.jsonl", tmp_path / "errors.jsonl"
    summary = jobs.summary(tmp_path / "in.jsonl", "--out", out, "--errors", errors, "--id", "text")
    assert summary["documents"] == len(REFUSED)
    assert [row["kind"] for row in rows(errors)] == list(REFUSED.values())
    assert "Traceback" not in jobs.errors
    assert max(map(len, jobs.errors.splitlines())) < 300


@pytest.mark.parametrize("document", ["line", "file"])
@pytest.mark.parametrize("name", ["in.txt", "in.txt.gz"])
def test_a_huge_limit_is_no_limit(jobs: Jobs, tmp_path: Path, name: str, document: str) -> None:
    content = b"The river\n" + b"a" * 100
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    out = tmp_path / "out.jsonl"
    arguments = ("--max-document-bytes", HUGE, "--document", document, "--text")
    jobs.summary(tmp_path / name, "--out", out, *arguments)
    expected = content.decode().split("\n") if document == "line" else [content.decode()]
    assert [row["text"] for row in rows(out)] == expected


def test_a_large_limit_sets_no_memory_aside(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"a\nb\n")
    source = Source(kind="file", max_bytes=1 << 45)
    (document,) = Reader([tmp_path / "in.txt"], source).documents(Position())
    assert document.text == "a\nb"
    assert document.place == str(tmp_path / "in.txt")


def test_several_columns_of_one_name(jobs: Jobs, tmp_path: Path) -> None:
    columns = [["The river", "The city"], [1, 2], ["b", "c"], [3, 4], ["x", "y"], ["x", "y"]]
    names = ["text", "key", "text", "key", "other", "other"]
    path = write(tmp_path / "in.parquet", pyarrow.table(columns, names=names))
    jobs.summary(path, "--out", tmp_path / "out.jsonl", "--text", "--id", "key")
    found = [(row["id"], row["text"]) for row in rows(tmp_path / "out.jsonl")]
    assert found == [(1, "The river"), (2, "The city")]


def test_the_id_may_be_the_text(jobs: Jobs, tmp_path: Path) -> None:
    path = write(tmp_path / "in.parquet", pyarrow.table({"text": ["The river"]}))
    jobs.summary(path, "--out", tmp_path / "out.jsonl", "--id", "text")
    assert [row["id"] for row in rows(tmp_path / "out.jsonl")] == ["The river"]


@pytest.mark.parametrize(
    "table",
    [
        pyarrow.table({"text": pyarrow.array([], pyarrow.string())}),
        pyarrow.table({"other": pyarrow.array([], pyarrow.int64())}),
        pyarrow.table({}),
    ],
    ids=["no rows", "no rows and another column", "no columns"],
)
def test_an_empty_table_has_no_documents(
    jobs: Jobs, tmp_path: Path, table: "pyarrow.Table"
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write(corpus / "a.parquet", table)
    write(corpus / "b.parquet", pyarrow.table({"text": ["The river"]}))
    summary = jobs.summary(corpus, "--out", tmp_path / "out.jsonl", "--id", "text")
    assert summary["documents"] == 1
    assert summary["problems"] == {}
    assert jobs.errors == ""


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_a_corrupt_page_is_reported_with_its_row(
    jobs: Jobs, tmp_path: Path, compression: str
) -> None:
    many = [f"The river {number} " + "x" * 50 for number in range(1000)]
    path = write(
        tmp_path / "in.parquet",
        pyarrow.table({"text": many}),
        compression=compression,
        use_dictionary=False,
        row_group_size=500,
        write_page_checksum=True,
    )
    content = bytearray(path.read_bytes())
    begin = pyarrow.parquet.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    for place in range(begin + 60, begin + 400):
        content[place] ^= 0x55
    path.write_bytes(content)
    assert jobs(path, "--out", tmp_path / "out.jsonl") == 1
    assert jobs.errors.startswith(f"error: {path}, after row 500: the file is damaged")
    assert jobs.errors.count("\n") == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: b"PAR1",
        lambda content: content[:-5],
        lambda content: content[: len(content) // 2],
        lambda content: content[:4] + b"\0" * (len(content) - 12) + content[-8:],
        lambda content: content[:-8] + b"\xff\xff\xff\x7fPAR1",
    ],
)
def test_files_that_are_not_parquet_are_named(jobs: Jobs, tmp_path: Path, spoil: object) -> None:
    path = write(tmp_path / "in.parquet", pyarrow.table({"text": ["The river"] * 100}))
    assert callable(spoil)
    path.write_bytes(spoil(path.read_bytes()))
    assert jobs(path, "--out", tmp_path / "out.jsonl") == 1
    assert jobs.errors.startswith(f"error: {path}: not Parquet: ")
    assert jobs.errors.count("\n") == 1
    with pytest.raises(JobError, match="not Parquet"):
        split_inputs([path], Source())


def test_ids_need_not_be_utf8(jobs: Jobs, tmp_path: Path) -> None:
    raw = pyarrow.array([b"\xff", b"ok"]).view(pyarrow.string())  # as careless writers store them
    path = write(tmp_path / "in.parquet", pyarrow.table({"text": ["a", "b"], "key": raw}))
    jobs.summary(path, "--out", tmp_path / "out.jsonl", "--id", "key")
    assert [row["id"] for row in rows(tmp_path / "out.jsonl")] == ["\\xff", "ok"]


def test_a_column_without_text_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "in.parquet", pyarrow.table({"text": [[1]], "other": ["a"]}))
    with pytest.raises(JobError, match=r"the column text is list<.*>, not text"):
        texts(path)


@pytest.mark.parametrize("name", ["in.txt", "in.jsonl", "in.parquet"])
def test_an_unreadable_file_is_one_line(jobs: Jobs, tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/proc/self/mem")  # opens, and cannot be read at 0
    assert jobs(tmp_path / name, "--out", tmp_path / "out.jsonl") == 1
    assert jobs.errors == f"error: {tmp_path / name}: Input/output error\n"


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.parquet", "a.txt.gz"])
def test_a_file_that_is_gone_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(JobError, match=rf"{name}: No such file"):
        texts(tmp_path / name)


def test_an_error_without_a_file_is_one_line(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "in.txt").write_text("The river\n")
    monkeypatch.setattr(os, "fsync", full)
    assert jobs(tmp_path / "in.txt", "--out", tmp_path / "out.jsonl") == 1
    assert jobs.errors == "error: No space left on device\n"


def test_rows_of_parquet_are_called_rows(jobs: Jobs, tmp_path: Path) -> None:
    path = write(tmp_path / "in.parquet", pyarrow.table({"text": ["a", "", None]}))
    assert jobs(path, "--out", tmp_path / "out.jsonl") == 0
    assert jobs.errors.splitlines() == [
        f"warning: {path}, row 2: the document is empty",
        f"warning: {path}, row 3: the column text is null",
    ]
    assert jobs(path, "--out", tmp_path / "out.tsv", "--strict") == 1
    assert jobs.errors == f"error: {path}, row 2: the document is empty\n"


def test_a_whole_file_has_no_line(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"\xff")
    jobs(tmp_path / "in.txt", "--out", tmp_path / "out.jsonl", "--document", "file")
    assert f"{tmp_path}/in.txt: not UTF-8" in jobs.errors
