"""Jobs that write into standard output, pipes and FIFOs."""

import gzip
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from service.bulk.progress import Progress
from tests.support.api_client import ROOT
from tests.support.bulk_job import Jobs, rows

SECONDS = 120


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_bytes(b"The river\n\xff\nThe city of London\n")
    return path


def run(*arguments: str | Path, **more: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "service.bulk", *map(str, arguments), "--threads", "1"]
    given = {"capture_output": True, "text": True, **more}
    return subprocess.run(command, cwd=ROOT, timeout=SECONDS, check=False, **given)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1"])
def test_standard_output_has_the_rows_alone(lines: Path, jobs: Jobs, name: str) -> None:
    jobs.summary(lines, "--out", lines.parent / "whole.jsonl")
    done = run(lines, "--out", name)
    assert done.returncode == 0
    assert done.stdout == (lines.parent / "whole.jsonl").read_text()
    assert "is a stream: a job that is stopped begins again" in done.stderr
    assert "2 documents" in done.stderr
    assert sorted(path.name for path in lines.parent.iterdir()) == ["in.txt", "whole.jsonl"]


def test_buckets_of_the_input_go_into_a_pipe(lines: Path) -> None:
    done = run(lines, "--out", "-", "--buckets", "40,60", "--json")
    assert [json.loads(line)["line"] for line in done.stdout.splitlines()] == [1, 3]
    assert '"documents": 2' in done.stderr


def test_earlier_content_of_standard_output_stays(lines: Path) -> None:
    target = lines.parent / "all.tsv"
    with target.open("wb") as file:
        file.write(b"before\n")
        file.flush()
        done = run(lines, "--out", "-", "--format", "tsv", stdout=file, capture_output=False)
    assert done.returncode == 0
    assert [line.split("\t")[0] for line in target.read_text().splitlines()] == [
        *("before", "input", str(lines), str(lines))
    ]


def test_standard_output_into_the_input_is_refused(lines: Path) -> None:
    before = lines.read_bytes()
    with lines.open("ab") as file:
        done = run(lines, "--out", "-", stdout=file, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 1
    assert "is the input" in done.stderr
    assert lines.read_bytes() == before


def test_a_closed_pipe_is_one_line(lines: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run(lines, "--out", "-", stdout=writing, stderr=subprocess.PIPE, capture_output=False)
    os.close(writing)
    assert done.returncode == 1
    assert "error: the reader of a stream closed it" in done.stderr
    assert "Traceback" not in done.stderr
    assert "None" not in done.stderr


def test_fifos_take_the_output_and_the_errors(lines: Path, jobs: Jobs) -> None:
    got: dict[str, bytes] = {}
    threads = []
    for name in ("out.jsonl.gz", "errors"):
        fifo = lines.parent / name
        os.mkfifo(fifo)
        read = threading.Thread(target=lambda f: got.update({f.name: f.read_bytes()}), args=(fifo,))
        read.start()
        threads.append(read)
    out, errors = lines.parent / "out.jsonl.gz", lines.parent / "errors"
    assert jobs(lines, "--out", out, "--errors", errors, "--overwrite") == 0
    for thread in threads:
        thread.join(SECONDS)
    assert [json.loads(x)["line"] for x in gzip.decompress(got["out.jsonl.gz"]).splitlines()] == [
        *(1, 3)
    ]
    assert json.loads(got["errors"])["kind"] == "invalid_utf8"
    assert out.is_fifo()  # and not replaced
    assert errors.is_fifo()


def test_a_calibration_goes_to_standard_output(lines: Path) -> None:
    done = run("calibrate", lines, "--out", "-")
    assert json.loads(done.stdout)["texts"] == 2


def test_errors_into_a_pipe_beside_a_file(lines: Path) -> None:
    done = run(lines, "--out", lines.parent / "out.jsonl", "--errors", "-")
    assert json.loads(done.stdout)["line"] == 2
    assert len(rows(lines.parent / "out.jsonl")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "parquet"), "is a stream, but Parquet output is a folder"),
        (("--engine", "ray"), "--engine ray writes a folder"),
        (("--errors", "-"), "are the same file"),
    ],
)
def test_formats_without_streams_are_one_line(
    jobs: Jobs, lines: Path, arguments: tuple[str, ...], message: str
) -> None:
    read, write = os.pipe()
    kept = os.dup(1)
    os.dup2(write, 1)
    try:
        assert jobs(lines, "--out", "-", *arguments) == 1
    finally:
        os.dup2(kept, 1)
        for descriptor in (kept, read, write):
            os.close(descriptor)
    assert message in jobs.errors
    assert jobs.errors.count("\n") == 1


def test_a_file_named_dash_is_not_a_stream(
    jobs: Jobs, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lines.parent)
    assert jobs(lines, "--out", "./-", "--format", "jsonl") == 0
    assert len(rows(lines.parent / "-")) == 2


def test_a_device_is_written_and_never_replaced(jobs: Jobs, lines: Path) -> None:
    assert jobs(lines, "--out", "/dev/null", "--errors", "/dev/null") == 0
    assert Path("/dev/null").is_char_device()


def test_errors_beside_a_stream_begin_again(lines: Path) -> None:
    errors = lines.parent / "errors.jsonl"
    done = run(lines, "--out", "-", "--errors", errors, "--strict")
    assert done.returncode == 1
    assert not errors.exists()
    done = run(lines, "--out", "-", "--errors", errors)
    assert done.returncode == 0
    assert [row["line"] for row in rows(errors)] == [2]
    assert sorted(path.name for path in lines.parent.iterdir()) == ["errors.jsonl", "in.txt"]


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-"])
def test_closed_standard_error_changes_nothing(jobs: Jobs, lines: Path, closed: str) -> None:
    jobs.summary(lines, "--out", lines.parent / "whole.jsonl")
    command = f'"$0" -m service.bulk "$1" --out - --threads 1 {closed}'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, lines],
        cwd=ROOT,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout == (lines.parent / "whole.jsonl").read_bytes()


def test_no_bar_without_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    progress = Progress(1)
    progress.advance(1, 1)
    progress.close()
