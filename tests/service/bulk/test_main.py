"""`python -m service.bulk`: problems are reported, the rest is scored; errors that stop a job."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from service import limits
from service.bulk.command_line import parse
from service.bulk.job import Job
from service.bulk.progress import Progress
from service.bulk.resume.lock import lock_file
from service.bulk.scorer import load_model
from tests.support.api_client import ROOT
from tests.support.bulk_job import Jobs, rows

BAD = b"\n".join(
    [
        b'{"text": "The river"}',
        b'{"text": "The river',
        b'{"text": "\xff"}',
        b'{"body": "The river"}',
        b'{"text": " "}',
        b'{"text": "' + b"x" * 10_000_000 + b'"}',
        b'{"text": 5}',
        b'{"text": "The city"}',
    ]
)
KINDS = [
    *[(2, "invalid_json"), (3, "invalid_json"), (4, "missing_field"), (5, "empty")],
    *[(6, "too_long"), (7, "not_text")],
]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text("The river\nThe city of London\nin\n")
    return path


def test_problems_are_reported_and_the_rest_scored(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(BAD)
    out, errors = tmp_path / "out.jsonl", tmp_path / "errors.jsonl"
    summary = jobs.summary(tmp_path / "in.jsonl", "--out", out, "--errors", errors)
    assert [row["line"] for row in rows(out)] == [1, 8]
    assert [(row["line"], row["kind"]) for row in rows(errors)] == KINDS
    assert {row["input"] for row in rows(errors)} == {str(tmp_path / "in.jsonl")}
    assert summary["problems"] == {
        "empty": 1,
        "invalid_json": 2,
        "missing_field": 1,
        "not_text": 1,
        "too_long": 1,
    }
    told = jobs.errors.splitlines()
    assert [line.split(", line ")[1].split(":")[0] for line in told] == [
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
    ]
    assert max(map(len, told)) < 300


def test_invalid_utf8_is_reported(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"The river\n\xff\nThe city\n")
    summary = jobs.summary(tmp_path / "in.txt", "--out", tmp_path / "out.jsonl")
    assert summary["problems"] == {"invalid_utf8": 1}
    assert [row["line"] for row in rows(tmp_path / "out.jsonl")] == [1, 3]


def test_only_ten_problems_are_printed(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"\n" * 50)
    assert jobs(tmp_path / "in.txt", "--out", tmp_path / "out.jsonl") == 0
    assert len(jobs.errors.splitlines()) == 11
    assert "not scored: 50 empty" in jobs.output.getvalue()


def test_strict_stops_and_the_job_can_resume(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"The river\n\xff\nThe city\n")
    arguments = (tmp_path / "in.txt", "--out", tmp_path / "out.jsonl")
    assert jobs(*arguments, "--strict") == 1
    assert (
        jobs.errors
        == f"error: {tmp_path / 'in.txt'}, line 2: not UTF-8, from byte 1 of the document on\n"
    )
    assert not (tmp_path / "out.jsonl").exists()
    assert jobs(*arguments) == 0
    assert len(rows(tmp_path / "out.jsonl")) == 2


def test_a_jobs_model_has_no_request_limits(
    bundle_path: Path, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_TOP_TOKENS", 2)
    monkeypatch.setenv("TIEDLM_MAX_BULK_WAIT", "0.5")  # a server's
    model = load_model(bundle_path, 1)
    for limit in ("max_queue_tokens", "max_bulk_wait", "max_request_tokens", "request_timeout"):
        assert getattr(model.settings, limit) >= 1 << 60
    options = parse([str(lines), "--out", str(lines.parent / "out.jsonl")])
    job = Job(model, options)
    job.prepare()
    assert job.run()["documents"] == 3
    model.close()


def test_an_existing_output_is_not_changed(jobs: Jobs, lines: Path) -> None:
    out = lines.parent / "out.jsonl"
    out.write_text("mine")
    assert jobs(lines, "--out", out) == 1
    assert jobs.errors == f"error: {out} already exists; use --overwrite to replace it\n"
    assert out.read_text() == "mine"
    assert jobs(lines, "--out", out, "--overwrite") == 0
    assert len(rows(out)) == 3


def test_nothing_is_left_but_the_output(jobs: Jobs, lines: Path) -> None:
    for out in ("out.parquet", "out.jsonl", "b.jsonl"):
        buckets = ["--buckets", "40,60"] if out[0] == "b" else []
        jobs.summary(lines, "--out", lines.parent / out, *buckets)
    found = sorted(path.name for path in lines.parent.iterdir())
    assert found == ["b.jsonl", "in.txt", "out.jsonl", "out.parquet"]


def test_a_state_of_another_version_is_refused(jobs: Jobs, lines: Path) -> None:
    out = lines.parent / "out.jsonl"
    lines.write_bytes(b"The river\n\xff\n")
    assert jobs(lines, "--out", out, "--strict") == 1
    (lines.parent / "out.jsonl.state").write_text("{}")
    assert jobs(lines, "--out", out) == 1
    assert "of another version" in jobs.errors


def test_inputs_that_changed_are_refused(
    jobs: Jobs, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = lines.parent / "out.jsonl"
    lines.write_bytes(b"The river\n" * 3000 + b"\xff\n")
    assert jobs(lines, "--out", out, "--strict") == 1
    assert (lines.parent / "out.jsonl.state").exists()
    assert jobs(lines, "--out", out, "--unit", "bits") == 1
    assert "columns changed" in jobs.errors
    lines.write_bytes(b"The rover\n" * 3000 + b"\xff\n")
    assert jobs(lines, "--out", out) == 1
    assert "inputs changed" in jobs.errors
    assert jobs(lines, "--out", out, "--overwrite") == 0
    assert len(rows(out)) == 3000


def test_two_jobs_do_not_write_one_output(jobs: Jobs, lines: Path) -> None:
    out = lines.parent / "out.jsonl"
    with lock_file(lines.parent / "out.jsonl.lock"):
        assert jobs(lines, "--out", out) == 1
    assert "another job writes this output; wait for it, or give another --out" in jobs.errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("IN", "--out", "OUT.csv"), "end it in .jsonl, .tsv or .parquet"),
        (("IN.missing", "--out", "OUT.jsonl"), "no such file"),
        (("IN", "--out", "missing/OUT.jsonl"), "no such folder"),
        (
            ("IN", "--out", "OUT.txt", "--format", "kenlm-query", "--tokens"),
            "--tokens is for jsonl",
        ),
        (
            ("IN", "--out", "OUT.txt", "--format", "kenlm-query", "--unit", "bits"),
            "always uses bans",
        ),
        (("IN", "--out", "OUT.parquet.gz"), "Parquet is compressed by itself"),
        (("IN", "--out", "OUT.tsv", "--tokens"), "tsv has no place"),
        (("IN", "--out", "OUT.jsonl", "--calibration", "IN"), "calibration"),
    ],
)
def test_conflicting_options_are_one_line(
    jobs: Jobs, lines: Path, arguments: tuple[str, ...], message: str
) -> None:
    given = [
        a.replace("IN", str(lines)).replace("OUT", f"{lines.parent}/out") if "-" not in a[:1] else a
        for a in arguments
    ]
    given = [a if "missing/" not in a else str(lines.parent / a.lstrip("/")) for a in given]
    assert jobs(*given) == 1
    assert message in jobs.errors
    assert jobs.errors.count("\n") == 1
    assert not (lines.parent / "out.jsonl").exists()


def test_folders_are_read_in_the_order_of_names(jobs: Jobs, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    for name in ("c.txt", "b/d.txt", "a.txt", ".hidden", "_SUCCESS", ".git/e.txt", "_temporary/f"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("The river\n")
    jobs.summary(folder, "--out", tmp_path / "out.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    expected = [str(folder / name) for name in ("a.txt", "b/d.txt", "c.txt")]
    assert table["input"].to_pylist() == expected
    jobs.summary(tmp_path / "out.parquet", "--column", "input", "--out", tmp_path / "out.jsonl")
    assert [row["line"] for row in rows(tmp_path / "out.jsonl")] == [1, 2, 3]


def test_buckets_are_by_percentiles_of_the_input(jobs: Jobs, tmp_path: Path) -> None:
    words = ["the", "city", "river", "of", "in", "was", "station", "film", "born", "first"]
    texts = [" ".join(words[n % 10 :: n // 10 + 1]) or "a" for n in range(50)]
    (tmp_path / "in.txt").write_text("\n".join(texts))
    jobs.summary(tmp_path / "in.txt", "--out", tmp_path / "out.jsonl", "--buckets", "30,60")
    found = rows(tmp_path / "out.jsonl")
    ordered = [row["bucket"] for row in sorted(found, key=lambda row: row["mean_cross_entropy"])]
    counts = [ordered.count(bucket) for bucket in ("head", "middle", "tail")]
    assert ordered == ["head"] * counts[0] + ["middle"] * counts[1] + ["tail"] * counts[2]
    assert abs(counts[0] - 15) <= 2
    assert abs(counts[1] - 15) <= 3


def test_the_command_by_itself(lines: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "service.bulk",
        str(lines),
        "--out",
        str(lines.parent / "o.tsv"),
    ]
    done = subprocess.run(
        [*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["documents"] == 3
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("package", "name", "written"),
    [("tqdm", "a.jsonl", True), ("pyarrow", "a.parquet", False), ("zstandard", "a.tsv.zst", False)],
)
def test_a_missing_package_is_named(
    jobs: Jobs,
    lines: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    name: str,
    written: bool,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert jobs(lines, "--out", lines.parent / name) == (0 if written else 1)
    assert written or f"needs {package}; in the clone of tiedlm: pip install" in jobs.errors
    assert (lines.parent / name).exists() == written


def test_the_bar_counts_bytes_and_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress(1000)
    progress.advance(70, 400)
    progress.print_line("warning: a line")
    progress.advance(30, 1000)
    progress.close()
    assert progress.tokens == 100
    assert "warning: a line\n" in terminal.getvalue()
    assert "tokens/s" in terminal.getvalue()
    assert "100%" in terminal.getvalue()
