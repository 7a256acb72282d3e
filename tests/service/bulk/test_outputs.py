"""No output of a job is an input, and only what a job wrote is ever removed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.bulk.resume.job_files import JobFiles
from service.bulk.resume.lock import lock_file
from service.errors import OutputError
from tests.support.api_client import ROOT
from tests.support.bulk_job import Jobs, rows

TEXT = "The river\nThe city of London\nin\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_text(TEXT)
    return path


def contents(folder: Path) -> dict[str, bytes | str]:
    """Return the content of every file and link in a folder."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def refused(jobs: Jobs, folder: Path, *arguments: str | Path) -> str:
    """Run a job that must not start or change the folder; return its message."""
    before = contents(folder)
    assert jobs(*arguments) == 1
    assert contents(folder) == before
    assert jobs.errors.startswith("error: ")
    assert jobs.errors.count("\n") == 1
    return jobs.errors


@pytest.mark.parametrize("link", ["itself", "hard", "symbolic", "through a folder"])
@pytest.mark.parametrize("flag", ["--out", "--errors"])
def test_no_output_is_the_input_by_any_name(jobs: Jobs, source: Path, link: str, flag: str) -> None:
    folder = source.parent
    other = folder / "other.jsonl"
    if link == "itself":
        other = source
    elif link == "hard":
        os.link(source, other)
    elif link == "symbolic":
        other.symlink_to(source)
    else:
        (folder / "linked").symlink_to(folder)
        other = folder / "linked" / source.name
    out = other if flag == "--out" else folder / "out.jsonl"
    arguments: list[str | Path] = [source, "--out", out, "--format", "jsonl", "--overwrite"]
    arguments += ["--errors", other] if flag == "--errors" else []
    assert f"{flag} {other} is the input {source}" in refused(jobs, folder, *arguments)


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
@pytest.mark.parametrize("flag", ["--out", "--errors"])
@pytest.mark.parametrize("given", ["./-", "."])
def test_an_input_called_dash_is_never_an_output(
    jobs: Jobs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    flag: str,
    overwrite: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_text(TEXT)
    own = ["--out", "./-"] if flag == "--out" else ["--out", "out.jsonl", "--errors", "./-"]
    for command in ([given, "--format", "jsonl"], ["calibrate", given]):
        assert f"{flag} - is the input -" in refused(jobs, tmp_path, *command, *own, *overwrite)


def test_a_glob_with_the_output_is_refused(jobs: Jobs, source: Path) -> None:
    folder = source.parent
    out = folder / "scores.jsonl"
    assert jobs(source, "--out", out) == 0
    given = sorted(folder.glob("*"))
    assert "is the input" in refused(jobs, folder, *given, "--out", out, "--overwrite")
    assert len(rows(out)) == 3


@pytest.mark.parametrize("suffix", [".partial", ".state", ".state.new", ".lock", ".scored.partial"])
def test_no_file_beside_the_output_is_an_input(jobs: Jobs, tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"out.jsonl{suffix}"
    source.write_text(TEXT)
    arguments = (source, "--out", tmp_path / "out.jsonl", "--input-format", "text", "--overwrite")
    assert "which the job writes, is the input" in refused(jobs, tmp_path, *arguments)


def test_a_calibration_never_replaces_what_is_read(jobs: Jobs, source: Path) -> None:
    folder = source.parent
    said = refused(jobs, folder, "calibrate", source, "--out", source, "--overwrite")
    assert f"--out {source} is the input {source}" in said
    table = folder / "news.json"
    assert jobs("calibrate", source, "--out", table) == 0
    arguments = (source, "--out", table, "--format", "jsonl", "--calibration", table)
    assert "is the input" in refused(jobs, folder, *arguments, "--overwrite")


def test_the_bundle_is_an_input_too(jobs: Jobs, source: Path, bundle_path: Path) -> None:
    bundle = source.parent / "bundle"
    shutil.copytree(bundle_path, bundle)
    for out in (bundle / "manifest.json", bundle):
        arguments = (source, "--out", out, "--format", "jsonl", "--bundle", bundle, "--overwrite")
        assert "is the input" in refused(jobs, source.parent, *arguments)


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.partial", "out.jsonl.state", "link"])
def test_errors_and_output_are_never_one_file(jobs: Jobs, source: Path, name: str) -> None:
    folder = source.parent
    if name == "link":
        (folder / name).symlink_to(folder / "out.jsonl")
    arguments = (source, "--out", folder / "out.jsonl", "--errors", folder / name, "--overwrite")
    assert "are the same file; give each its own" in refused(jobs, folder, *arguments)


def test_errors_inside_a_folder_of_parts_are_refused(jobs: Jobs, source: Path) -> None:
    out = source.parent / "out.parquet"
    assert jobs(source, "--out", out) == 0
    arguments = (source, "--out", out, "--errors", out / "errors.jsonl", "--overwrite")
    assert "is inside --out" in refused(jobs, source.parent, *arguments)


def test_existing_errors_are_replaced_on_request_only(jobs: Jobs, source: Path) -> None:
    folder = source.parent
    source.write_bytes(b"The river\n\xff\n")
    errors = folder / "thesis.txt"
    errors.write_text("years of work")
    arguments = (source, "--out", folder / "out.jsonl", "--errors", errors)
    assert f"{errors} already exists; use --overwrite" in refused(jobs, folder, *arguments)
    assert jobs(*arguments, "--overwrite") == 0
    assert [row["line"] for row in rows(errors)] == [2]


def test_a_link_that_leads_nowhere_exists_already(jobs: Jobs, source: Path) -> None:
    out = source.parent / "out.jsonl"
    out.symlink_to(source.parent / "elsewhere.jsonl")
    assert "already exists" in refused(jobs, source.parent, source, "--out", out)


@pytest.mark.parametrize("name", ["corpus", "thesis"])
@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_folder_of_foreign_files_is_not_removed(
    jobs: Jobs, tmp_path: Path, name: str, form: str
) -> None:
    for folder, file in (("corpus", "part-00000.jsonl"), ("thesis", "chapter.tex")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text('{"text": "The river"}\n')
    arguments = (tmp_path / "corpus", "--out", tmp_path / name, "--format", form, "--overwrite")
    said = refused(jobs, tmp_path, *arguments)
    assert ("is the input" if name == "corpus" else "which no job wrote") in said


def test_a_folder_around_the_input_is_never_removed(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "all" / "inner").mkdir(parents=True)
    source = tmp_path / "all" / "inner" / "in.txt"
    source.write_text(TEXT)
    for given in (source, source.parent):
        arguments = (given, "--out", tmp_path / "all", "--format", "parquet", "--overwrite")
        assert "is a folder that holds the input" in refused(jobs, tmp_path, *arguments)


def test_parts_of_the_last_job_are_replaced(jobs: Jobs, source: Path) -> None:
    out = source.parent / "out.parquet"
    assert jobs(source, "--out", out) == 0
    assert jobs(source, "--out", out, "--overwrite", "--text") == 0
    (out / "notes.txt").write_text("mine")
    assert "notes.txt in it" in refused(jobs, source.parent, source, "--out", out, "--overwrite")
    (out / "notes.txt").rename(out / "part-00001.parquet")
    assert "part-00001" in refused(jobs, source.parent, source, "--out", out, "--overwrite")


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
@pytest.mark.parametrize("suffix", [".partial", ".scored.partial"])
def test_partial_files_of_others_are_kept(
    jobs: Jobs, source: Path, suffix: str, overwrite: list[str]
) -> None:
    out = source.parent / "out.jsonl"
    (source.parent / f"out.jsonl{suffix}").write_text("mine")
    assert "remove it" in refused(jobs, source.parent, source, "--out", out, *overwrite)


@pytest.mark.parametrize("suffix", [".lock", ".partial", ".state", ".state.new"])
def test_links_beside_the_output_are_never_followed(jobs: Jobs, source: Path, suffix: str) -> None:
    folder = source.parent
    (folder / "mine").write_text("years of work")
    (folder / f"out.jsonl{suffix}").symlink_to(folder / "mine")
    jobs(source, "--out", folder / "out.jsonl", "--overwrite")
    assert (folder / "mine").read_text() == "years of work"
    assert "None" not in jobs.errors
    if suffix == ".lock":
        assert "out.jsonl.lock is a symbolic link; remove it" in jobs.errors
        assert not (folder / "out.jsonl").exists()


def test_a_foreign_lock_is_kept(jobs: Jobs, source: Path) -> None:
    lock = source.parent / "poetry.lock"
    lock.write_text("[[package]]")
    arguments = (source, "--out", source.parent / "poetry", "--format", "jsonl")
    assert "is not a lock of a job" in refused(jobs, source.parent, *arguments)


def test_a_foreign_empty_lock_is_kept(jobs: Jobs, source: Path) -> None:
    lock = source.parent / "out.jsonl.lock"
    lock.touch()
    assert jobs(source, "--out", source.parent / "out.jsonl") == 0
    assert lock.read_bytes() == b""
    with lock_file(lock):
        assert jobs(source, "--out", source.parent / "out.jsonl", "--overwrite") == 1
    assert "another job writes this output; wait for it, or give another --out" in jobs.errors


def test_a_killed_jobs_lock_is_reused(jobs: Jobs, source: Path) -> None:
    lock = source.parent / "out.jsonl.lock"
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom service.bulk.resume.lock import lock_file\n"
    )
    code += "with lock_file(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code, lock], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert lock.exists()
    assert jobs(source, "--out", source.parent / "out.jsonl") == 0
    assert not lock.exists()


def test_a_failed_start_keeps_the_old_output(jobs: Jobs, source: Path) -> None:
    folder = source.parent
    out = folder / "out.jsonl"
    assert jobs(source, "--out", out) == 0
    (folder / "no.json").write_text("{}")
    arguments = (source, "--out", out, "--overwrite", "--calibration", folder / "no.json")
    assert "calibration" in refused(jobs, folder, *arguments)


@pytest.mark.parametrize("name", ["scores.jsonl", "scores.parquet", "scores.tsv.gz", "s.kenlm"])
def test_output_in_the_inputs_folder_resumes(jobs: Jobs, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"The river\n\xff\nThe city\n")
    out = folder / name
    more = ["--format", "kenlm-query"] if name == "s.kenlm" else []
    arguments: list[str | Path] = [folder, "--out", out, "--errors", folder / "errors.jsonl", *more]
    assert jobs(*arguments, "--strict") == 1
    assert (folder / f"{name}.state").exists()
    assert jobs.summary(*arguments)["documents"] == 2
    # A job of the past is not an input of this one.
    assert jobs.summary(*arguments, "--overwrite")["documents"] == 2
    assert sorted(path.name for path in folder.iterdir()) == sorted(["a.txt", "errors.jsonl", name])


@pytest.mark.parametrize(
    ("name", "more"),
    [
        *[("o.jsonl", []), ("o.parquet", []), ("o.tsv.gz", []), ("o.jsonl", ["--buckets", "3,6"])],
        *[("o.kenlm", ["--format", "kenlm-query"]), ("o", ["--format", "surprisal-tsv"])],
    ],
)
@pytest.mark.parametrize("killed", [False, True])
def test_outputs_of_earlier_jobs_are_left_out(
    jobs: Jobs, tmp_path: Path, name: str, more: list[str], killed: bool
) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"The river\n\xff\nThe city\n")
    (folder / "b.partial").write_text("The night\n")
    (folder / "c.lock").write_text("The day\n")
    (folder / "d.state").write_text("The state\n")
    strict = ["--strict"] if killed else []
    earlier = (folder, "--out", folder / name, "--errors", folder / "e.jsonl")
    assert jobs(*earlier, *more, *strict) == killed
    (folder / "o.jsonl.lock").write_bytes(b"tiedlm job 12\n")
    summary = jobs.summary(folder, "--out", tmp_path / "out.jsonl")
    read = [Path(row["input"]).name for row in rows(tmp_path / "out.jsonl")]
    assert read == ["a.txt", "a.txt", "b.partial", "c.lock", "d.state"]
    assert summary["problems"] == {"invalid_utf8": 1}
    left = [line for line in jobs.errors.splitlines() if "is left out" in line]
    others = [p for p in folder.rglob("*") if p.is_file() and p.name[0] != "."]
    assert len(left) == len(others) - 4


@pytest.mark.parametrize(
    "job", ["7", "{}", '{"errors": "."}', '{"errors": 5}', '{"errors": "\\u0000"}']
)
def test_odd_states_in_a_folder_end_no_job(jobs: Jobs, source: Path, job: str) -> None:
    folder = source.parent / "corpus"
    folder.mkdir()
    (folder / "a.state").write_text(f'{{"version": 1, "job": {job}}}')
    (folder / "a.txt").write_text(TEXT)
    jobs.summary(folder, "--out", source.parent / "out.jsonl")


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_an_output_that_is_named_is_read(jobs: Jobs, source: Path, name: str) -> None:
    out = source.parent / name
    jobs.summary(source, "--out", out, "--text")
    summary = jobs.summary(out, "--out", source.parent / "again.jsonl")
    assert summary["documents"] == 3
    assert "left out" not in jobs.errors


def test_a_corpus_file_as_output_is_refused(jobs: Jobs, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        (folder / name).write_text('{"text": "The river"}\n')
    arguments = (folder, "--out", folder / "b.jsonl", "--overwrite")
    assert "is the input" in refused(jobs, tmp_path, *arguments)


@pytest.mark.parametrize("out", ["", ".", "..", "../.."])
def test_an_output_without_a_name_is_one_line(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    inner = source.parent / "a" / "b"  # no folder but the test's own is at stake
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    said = refused(jobs, source.parent, source, "--out", out, "--format", "jsonl", "--overwrite")
    assert "names no file" in said


def test_only_files_with_a_state_are_removed(tmp_path: Path) -> None:
    files = JobFiles(tmp_path / "o.jsonl", None)
    (tmp_path / "o.jsonl.partial").touch()
    with pytest.raises(OutputError, match=r"exists without .*o\.jsonl\.state"):
        files.remove_outputs()
    (tmp_path / "o.jsonl.state").write_text(json.dumps({"version": 1, "job": {}}))
    files.remove_outputs()
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_state_file_is_kept(jobs: Jobs, source: Path) -> None:
    (source.parent / "out.jsonl.state").write_text("my notes on the state of things")
    for more in ([], ["--overwrite"]):
        out = source.parent / "out.jsonl"
        assert "not the state of a job" in refused(jobs, source.parent, source, "--out", out, *more)
