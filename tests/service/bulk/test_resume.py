"""A resumed job notices every change of the inputs that it has read."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from service.bulk.ray_executor import RayJob
from service.bulk.resume.identity import fingerprint
from service.bulk.scorer import load_model
from service.bulk.split_scorer import score_split
from service.errors import JobError
from service.settings import STARTER_BUNDLE
from tests.support.bulk_job import Jobs, parse_scoring, rows


def corpus(path: Path, second: str) -> Path:
    """Write 3 MB with little text; no sample of the fingerprint covers the second text."""
    documents = [
        {"text": "The river", "padding": "x" * 100_000},
        {"text": second},
        *[{"text": "The city", "padding": "x" * 400_000}] * 7,
    ]
    path.write_text("".join(json.dumps(document) + "\n" for document in documents) + "bad\n")
    return path


def test_a_small_change_of_inputs_is_noticed(jobs: Jobs, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    corpus(source, "The river of ice")
    before = fingerprint(source)
    assert jobs(source, "--out", out, "--strict") == 1
    assert json.loads((tmp_path / "out.jsonl.state").read_bytes())["position"]["records"] == 9
    corpus(source, "The rover of ice")
    assert fingerprint(source) == before  # no sample covers the change
    assert jobs(source, "--out", out) == 1
    assert "inputs changed" in jobs.errors
    assert not out.exists()
    corpus(source, "The river of ice")
    assert jobs(source, "--out", out) == 0
    assert [row["line"] for row in rows(out)] == list(range(1, 10))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "b.txt").write_text("The night\n"), "b.txt has other content"),
        (lambda f: (f / "b 1.txt").write_text("The night\n"), "b 1.txt is new"),
        (lambda f: (f / "a.txt").unlink(), "a.txt is gone"),
    ],
)
def test_the_first_input_that_changed_is_named(
    jobs: Jobs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object],
    said: str,
) -> None:
    monkeypatch.setattr("service.bulk.document.BLOCK_DOCUMENTS", 1)
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_bytes(b"The river\n" * 5 + b"\xff\n")
    assert jobs(folder, "--out", tmp_path / "out.jsonl", "--strict") == 1
    change(folder)
    assert jobs(folder, "--out", tmp_path / "out.jsonl") == 1
    assert f"inputs changed ({folder / said})" in jobs.errors


def test_a_finished_split_of_other_documents_is_refused(tmp_path: Path) -> None:
    source = corpus(tmp_path / "in.jsonl", "The river of ice")
    options = parse_scoring([str(source), "--out", str(tmp_path / "out.jsonl"), "--engine", "ray"])
    model = load_model(STARTER_BUNDLE, 1)
    (split,) = RayJob(options).prepare()
    asyncio.run(score_split(model, options, split))
    model.close()
    assert RayJob(options).prepare() == []
    corpus(source, "The rover of ice")
    with pytest.raises(JobError, match="inputs changed"):
        RayJob(options).prepare()


def test_an_output_created_meanwhile_is_kept(jobs: Jobs, tmp_path: Path) -> None:
    source, out = corpus(tmp_path / "in.jsonl", "The river"), tmp_path / "out.jsonl"
    assert jobs(source, "--out", out, "--strict") == 1
    out.write_text("mine")
    assert jobs(source, "--out", out) == 1
    assert "already exists" in jobs.errors
    assert out.read_text() == "mine"
    out.unlink()
    assert jobs(source, "--out", out) == 0


def test_a_missing_part_is_named(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.bulk.output.parquet_writer.BLOCKS_PER_PART", 1)
    source, out = corpus(tmp_path / "in.jsonl", "The river"), tmp_path / "out.parquet"
    assert jobs(source, "--out", out, "--strict") == 1
    (tmp_path / "out.parquet.partial" / "part-00000.parquet").unlink()
    assert jobs(source, "--out", out) == 1
    assert "part-00000.parquet is missing; use --overwrite" in jobs.errors


def test_options_can_change_before_the_first_commit(jobs: Jobs, tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(b'{"body": "The river"}\n')
    assert jobs(source, "--out", out, "--strict") == 1
    assert (tmp_path / "out.jsonl.state").exists()
    assert jobs(source, "--out", out, "--field", "body") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]
