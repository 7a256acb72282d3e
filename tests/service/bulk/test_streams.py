"""Streams as inputs: standard input, pipes, FIFOs; and inputs with odd names."""

import gzip
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from service.bulk import ray_executor
from service.bulk.command_line import parse
from service.bulk.input.files import input_argument, printable
from service.bulk.input.splits import split_inputs
from service.bulk.job import Job
from service.bulk.output.writers import FileWriter
from service.errors import JobError
from service.language_model import LanguageModel
from tests.support.api_client import ROOT
from tests.support.bulk_job import Jobs, parse_scoring, rows

SECONDS = 120
TEXT = b"The river\nThe city of London\nin\n"
ODD = os.fsdecode(b"caf\xe9-\xff.txt")  # Latin-1, as in archives of old machines
SHOWN = "caf\\xe9-\\xff.txt"


def shell(
    command: str, *arguments: str | Path, given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a script in bash, with Python as $0 and the arguments as $1, $2 …"""
    return subprocess.run(
        ["bash", "-c", command, sys.executable, *arguments],
        cwd=ROOT,
        input=given,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )


def feed(path: Path, content: bytes) -> threading.Thread:
    """Make a FIFO, and write `content` to its reader."""
    os.mkfifo(path)
    thread = threading.Thread(target=path.write_bytes, args=(content,), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ('"$0" -m service.bulk - --out "$1"', "/dev/stdin"),
        ('cat | "$0" -m service.bulk /dev/stdin --out "$1"', "/dev/stdin"),
        ('"$0" -m service.bulk <(cat "$2") --out "$1"', "/dev/fd/"),
        ('"$0" -m service.bulk - --out "$1" < "$2"', "/dev/stdin"),
    ],
)
def test_pipes_are_read_as_streams(tmp_path: Path, command: str, name: str) -> None:
    (tmp_path / "in.txt").write_bytes(TEXT)
    out = tmp_path / "out.jsonl"
    done = shell(command, out, tmp_path / "in.txt", given=TEXT)
    assert done.returncode == 0, done.stderr
    assert [row["line"] for row in rows(out)] == [1, 2, 3]
    assert rows(out)[0]["input"].startswith(name)
    errors = done.stderr.decode()
    assert "is a stream: a job that is stopped begins again" in errors
    assert errors.startswith(f"warning: {name}")
    assert errors.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "out.jsonl"]


def test_standard_input_is_read_from_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(TEXT)
    command = '{ head -c 10 > /dev/null; "$0" -m service.bulk - --text --out "$1"; } < "$2"'
    done = shell(command, tmp_path / "out.jsonl", tmp_path / "in.txt")
    assert done.returncode == 0, done.stderr
    texts = [row["text"] for row in rows(tmp_path / "out.jsonl")]
    assert texts == ["The city of London", "in"]


@pytest.mark.parametrize(
    ("name", "content", "more"),
    [
        ("pipe", TEXT, ()),
        ("pipe.jsonl.gz", gzip.compress(b'{"text": "a"}\n{"text": "b"}\n{"text": "c"}\n'), ()),
        ("PIPE.TXT.ZST", zstandard.ZstdCompressor().compress(TEXT), ()),
        ("pipe", b'{"text": "a"}\n{"text": "b"}\n{"text": "c"}', ("--input-format", "jsonl")),
    ],
)
def test_a_fifo_is_read(
    jobs: Jobs, tmp_path: Path, name: str, content: bytes, more: tuple[str, ...]
) -> None:
    thread = feed(tmp_path / name, content)
    summary = jobs.summary(tmp_path / name, "--out", tmp_path / "out.jsonl", *more)
    thread.join(SECONDS)
    assert summary["documents"] == 3
    assert "None" not in jobs.errors
    assert f"{name} is a stream" in jobs.errors


def test_a_stream_is_one_document_on_request(jobs: Jobs, tmp_path: Path) -> None:
    thread = feed(tmp_path / "pipe", TEXT)
    out = tmp_path / "out.jsonl"
    jobs.summary(tmp_path / "pipe", "--document", "file", "--text", "--out", out)
    thread.join(SECONDS)
    assert [row["text"] for row in rows(out)] == [TEXT.decode()[:-1]]


def test_a_stopped_job_of_a_stream_begins_again(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, errors = tmp_path / "out.jsonl", tmp_path / "errors.jsonl"
    arguments = (tmp_path / "pipe", "--out", out, "--errors", errors)
    feed(tmp_path / "pipe", b"The river\n" * 2000 + b"\xff\n").join(0)
    assert jobs(*arguments, "--strict") == 1
    assert f"{tmp_path}/pipe, line 2001: not UTF-8" in jobs.errors
    assert not (tmp_path / "out.jsonl.state").exists()
    (tmp_path / "pipe").unlink()
    thread = feed(tmp_path / "pipe", b"The city\n" * 3 + b"\xff\n")
    assert jobs(*arguments) == 0
    thread.join(SECONDS)
    assert len(rows(out)) == 3
    assert len(rows(errors)) == 1


def test_a_stream_has_the_buckets_of_a_file(jobs: Jobs, tmp_path: Path) -> None:
    content = b"".join(b"The river %d\n" % number for number in range(50))
    (tmp_path / "in.txt").write_bytes(content)
    thread = feed(tmp_path / "pipe", content)
    for name in ("in.txt", "pipe"):
        jobs.summary(tmp_path / name, "--out", tmp_path / f"{name}.tsv", "--buckets", "30,60")
    thread.join(SECONDS)
    tables = [(tmp_path / f"{name}.tsv").read_text() for name in ("in.txt", "pipe")]
    assert tables[0].replace("in.txt", "pipe") == tables[1]


def test_parquet_as_a_stream_is_refused(jobs: Jobs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.parquet")
    assert jobs(tmp_path / "a.parquet", "--out", tmp_path / "out.jsonl") == 1
    assert jobs.errors.splitlines()[-1] == (
        f"error: {tmp_path}/a.parquet: Parquet cannot be read from a pipe; write it to a file first"
    )


def test_ray_refuses_streams_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(ray_executor, "_import_ray", lambda: None)
    options = parse_scoring(
        [str(tmp_path / "pipe"), "--out", str(tmp_path / "o.jsonl"), "--engine", "ray"]
    )
    with pytest.raises(JobError, match="pipe: --engine ray cannot read a stream"):
        ray_executor.run(options)


def test_standard_input_given_twice_is_refused(jobs: Jobs, tmp_path: Path) -> None:
    assert jobs("-", "/dev/stdin", "--out", tmp_path / "out.jsonl") == 1
    assert jobs.errors == "error: standard input is given twice, and can be read only once\n"


def test_closed_standard_input_is_refused(tmp_path: Path) -> None:
    done = shell('"$0" -m service.bulk - --out "$1" <&-', tmp_path / "out.jsonl")
    assert done.returncode == 1
    assert done.stderr == b"error: standard input is closed\n"


def test_a_file_called_minus_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("./-").write_bytes(TEXT)
    assert input_argument("./-").read_bytes() == TEXT
    assert input_argument("-") == input_argument("/dev/stdin") != input_argument("./-")


def test_an_empty_name_is_refused(jobs: Jobs, tmp_path: Path) -> None:
    assert jobs("", "--out", tmp_path / "out.jsonl") == 1
    assert jobs.errors.startswith("error: an INPUT is empty; name a file or a folder")


@pytest.mark.parametrize("out", ["out.jsonl", "out.tsv", "out.parquet", "out.jsonl.zst"])
def test_names_need_not_be_utf8(jobs: Jobs, tmp_path: Path, out: str) -> None:
    (tmp_path / ODD).write_bytes(TEXT + b"\xff\n")
    errors = tmp_path / "errors.jsonl"
    assert jobs(tmp_path / ODD, "--out", tmp_path / out, "--errors", errors) == 0
    assert jobs.errors == (
        f"warning: {tmp_path}/{SHOWN}, line 4: not UTF-8, from byte 1 of the document on\n"
    )
    assert [row["input"] for row in rows(errors)] == [f"{tmp_path}/{SHOWN}"]
    if out == "out.jsonl":
        assert {row["input"] for row in rows(tmp_path / out)} == {f"{tmp_path}/{SHOWN}"}
    if out == "out.parquet":
        table = pyarrow.parquet.read_table(tmp_path / out)
        assert set(table["input"].to_pylist()) == {f"{tmp_path}/{SHOWN}"}


def test_parquet_in_a_folder_of_an_odd_name(jobs: Jobs, tmp_path: Path) -> None:
    folder = tmp_path / ODD
    folder.mkdir()
    with (folder / f"{ODD}.parquet").open("wb") as file:
        pyarrow.parquet.write_table(pyarrow.table({"text": ["The river"]}), file)
    summary = jobs.summary(folder, "--out", tmp_path / "out.jsonl")
    assert summary["documents"] == 1
    assert (
        len(
            split_inputs([folder / f"{ODD}.parquet"], parse([str(folder), "--out", "o.tsv"]).source)
        )
        == 1
    )


def test_a_job_with_an_odd_name_resumes(
    jobs: Jobs, model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ODD).write_bytes(b"The river\n" * 3000)
    arguments = [str(tmp_path / ODD), "--out", str(tmp_path / "out.jsonl")]
    jobs.summary(tmp_path / ODD, "--out", tmp_path / "whole.jsonl")
    writes = iter(range(2))

    def stopping(sink: FileWriter, payload: bytes, write=FileWriter.write) -> None:  # type: ignore[no-untyped-def]
        if payload and next(writes, None) is None:
            raise OSError(28, "No space left on device")
        write(sink, payload)

    with monkeypatch.context() as patch:
        patch.setattr(FileWriter, "write", stopping)
        assert jobs(*arguments) == 1
        assert jobs.errors == "error: No space left on device\n"
    job = Job(model, parse(arguments))
    job.prepare()
    assert job.state.position.documents == 2048
    assert jobs(*arguments) == 0
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_messages_show_odd_names(jobs: Jobs, tmp_path: Path) -> None:
    assert jobs(tmp_path / ODD, "--out", tmp_path / "out.jsonl") == 1
    assert jobs.errors == f"error: {tmp_path}/{SHOWN}: no such file or folder\n"
    (tmp_path / "in.jsonl").write_text('{"text": "a"}')
    errors = tmp_path / "errors.jsonl"
    arguments = (tmp_path / "in.jsonl", "--field", ODD, "--out", tmp_path / "out.jsonl")
    jobs(*arguments, "--errors", errors)
    assert [row["message"] for row in rows(errors)] == [f"there is no field {SHOWN}"]
    (tmp_path / "in.jsonl").write_text(json.dumps({ODD: 5}))
    jobs(*arguments, "--errors", errors, "--overwrite")
    assert [row["message"] for row in rows(errors)] == [f"the field {SHOWN} is not a string"]


def test_printable_leaves_other_names_as_they_are() -> None:
    for name in ("a.txt", "naïve 河.txt", "a\\xe9.txt", ""):
        assert printable(name) == name
    assert printable(ODD) == SHOWN
    assert printable("\ud800") == "\\ud800"


@pytest.mark.parametrize(
    "name", ["A.TXT.GZ", "a.txt.Zst", "A.JSONL.GZ", "A.NDJSON", "A.PARQUET", "a.Parquet", "A.TXT"]
)
def test_suffixes_in_capitals(jobs: Jobs, tmp_path: Path, name: str) -> None:
    lower = name.lower()
    content = TEXT
    if "json" in lower:
        content = b"".join(
            json.dumps({"text": t}).encode() + b"\n" for t in TEXT.decode().splitlines()
        )
    if lower.endswith(".gz"):
        content = gzip.compress(content)
    if lower.endswith(".zst"):
        content = zstandard.ZstdCompressor().compress(content)
    (tmp_path / name).write_bytes(content)
    if lower.endswith(".parquet"):
        pyarrow.parquet.write_table(
            pyarrow.table({"text": TEXT.decode().splitlines()}), tmp_path / name
        )
    jobs.summary(tmp_path / name, "--out", tmp_path / "out.jsonl", "--text")
    assert [row["text"] for row in rows(tmp_path / "out.jsonl")] == TEXT.decode().splitlines()


def test_suffixes_of_outputs_in_capitals(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(TEXT)
    out = tmp_path / "OUT.JSONL.GZ"
    jobs.summary(tmp_path / "in.txt", "--out", out)
    lines = gzip.decompress(out.read_bytes()).splitlines()
    assert [json.loads(line)["line"] for line in lines] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "then"), [("pipe", "begins again"), ("in.txt", "continues from this point")]
)
def test_an_interrupt_prints_whether_the_job_resumes(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, then: str
) -> None:
    (tmp_path / "in.txt").write_bytes(TEXT)
    os.mkfifo(tmp_path / "pipe")

    def stopped(job: Job) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "run", stopped)
    assert jobs(tmp_path / name, "--out", tmp_path / "out.jsonl") == 130
    assert jobs.errors.splitlines()[-1] == f"stopped; the same command {then}"
