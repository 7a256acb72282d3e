"""Jobs that are interrupted after their last commit, while the outputs get their names."""

import asyncio
from pathlib import Path

import pytest

from service.bulk.job import Job
from service.bulk.ray_executor import RayJob
from service.bulk.resume.job_files import JobFiles
from service.bulk.split_scorer import score_split
from service.language_model import LanguageModel
from tests.support.bulk_job import Jobs, parse_scoring

TEXT = b"The river\n\xff\nThe city of London\n"
METHODS = ["publish", "tidy"]  # before and after the output has its name
MEASURED = ("seconds", "cpu_seconds", "tokens_per_second")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.txt"
    path.write_bytes(TEXT)
    return path


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def contents(folder: Path, name: str) -> dict[str, bytes]:
    """Return the content of the outputs `name`… in a folder, with the name `out`."""
    return {
        str(path.relative_to(folder)).replace(name, "out"): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and name in str(path)
    }


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("suffix", "more"),
    [
        (".jsonl.gz", []),
        (".parquet", []),
        (".tsv", ["--buckets", "30,60"]),
        (".kenlm", ["--format", "kenlm-query"]),
        (".json", ["calibrate"]),
    ],
)
def test_an_interrupted_publication_is_completed(
    jobs: Jobs,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    suffix: str,
    more: list[str],
) -> None:
    command = [word for word in more if word == "calibrate"]
    options = [word for word in more if word != "calibrate"]

    def arguments(name: str) -> list[str | Path]:
        folder = source.parent
        errors: list[str | Path] = ["--errors", folder / f"{name}.errors"]
        return [*command, source, "--out", folder / f"{name}{suffix}", *errors, *options]

    whole = jobs.summary(*arguments("whole"))
    with monkeypatch.context() as patch:
        patch.setattr(JobFiles, method, interrupt)
        assert jobs(*arguments("broken")) == 130
    assert (source.parent / f"broken{suffix}").exists() == (method == "tidy")
    monkeypatch.setattr(Job, "_score", lambda *_: pytest.fail("everything is scored already"))
    resumed = jobs.summary(*arguments("broken"))
    assert resumed == {name: value for name, value in whole.items() if name not in MEASURED}
    assert contents(source.parent, "broken") == contents(source.parent, "whole")


def test_a_foreign_output_is_not_replaced_at_publication(
    jobs: Jobs, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = source.parent / "out.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(JobFiles, "publish", interrupt)
        assert jobs(source, "--out", out) == 130
    out.write_text("mine")
    assert jobs(source, "--out", out) == 1
    assert "already exists" in jobs.errors
    assert out.read_text() == "mine"


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_publication_of_parts_is_completed(
    model: LanguageModel, source: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    out, errors = source.parent / "out.jsonl", source.parent / "errors"
    options = parse_scoring(
        [str(source), "--out", str(out), "--errors", str(errors), "--engine", "ray"]
    )
    job = RayJob(options)
    for split in job.prepare():
        asyncio.run(score_split(model, options, split))
    with monkeypatch.context() as patch:
        patch.setattr(JobFiles, method, interrupt)
        with pytest.raises(KeyboardInterrupt):
            job.finish()
    job = RayJob(options)
    assert job.prepare() == []
    job.finish()
    assert job.state.statistics.documents == 2
    assert job.state.statistics.problems == {"invalid_utf8": 1}
    assert [path.name for path in out.iterdir()] == ["part-00000.jsonl"]
    assert sorted(path.name for path in source.parent.iterdir()) == [
        "errors",
        "in.txt",
        "out.jsonl",
    ]
