"""Two workers score one split of `--engine ray`, because the first was only thought dead."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.bulk.options import ScoringOptions
from service.bulk.ray_executor import RayJob
from service.bulk.resume.ownership import ATTEMPT
from service.bulk.scorer import load_model
from service.bulk.split_scorer import score_split
from service.errors import OutputError
from service.language_model import LanguageModel
from service.settings import STARTER_BUNDLE
from tests.support.bulk_job import parse_scoring


@pytest.fixture(scope="module")
def model() -> Iterator[LanguageModel]:
    model = load_model(STARTER_BUNDLE, 1)
    yield model
    model.close()


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "out.tsv.gz"])
def test_two_attempts_write_the_same_part(tmp_path: Path, model: LanguageModel, name: str) -> None:
    source = tmp_path / "in.txt"
    source.write_text("The city was old.\n\nA river of ice.\n" * 20)
    contents = []
    for attempts in (1, 2):
        out = tmp_path / str(attempts) / name
        out.parent.mkdir()
        options = parse_scoring([str(source), "--out", str(out), "--engine", "ray"])
        asyncio.run(attempt(model, options, attempts))
        killed = out.with_name(f"{name}.partial") / f"{ATTEMPT}of-a-worker-that-died"
        killed.mkdir()
        finish(options)
        contents.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 1


def finish(options: ScoringOptions) -> None:
    job = RayJob(options)
    assert job.prepare() == []
    job.finish()


async def attempt(model: LanguageModel, options: ScoringOptions, times: int) -> None:
    (split,) = RayJob(options).prepare()
    await asyncio.gather(*[score_split(model, options, split) for _ in range(times)])


def test_empty_parts_are_complete_compressed_files(tmp_path: Path, model: LanguageModel) -> None:
    source, errors = tmp_path / "in.txt", tmp_path / "errors.jsonl.gz"
    source.write_bytes(b"\n\xff\n")
    out = tmp_path / "out.jsonl.gz"
    command = [str(source), "--out", str(out), "--errors", str(errors), "--engine", "ray"]
    options = parse_scoring(command)
    asyncio.run(attempt(model, options, 1))
    finish(options)
    (part,) = out.iterdir()
    assert part.stat().st_size > 0
    assert gzip.decompress(part.read_bytes()) == b""
    kinds = [json.loads(x)["kind"] for x in gzip.decompress(errors.read_bytes()).splitlines()]
    assert kinds == ["empty", "invalid_utf8"]
    with pytest.raises(OutputError, match="already exists"):
        RayJob(options).prepare()
    assert len(RayJob(parse_scoring([*command, "--overwrite"])).prepare()) == 1
    assert not out.exists()


def test_a_split_keeps_rows_of_problems(tmp_path: Path, model: LanguageModel) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_bytes(b"The river\n\n\xff\nThe city\n")
    options = parse_scoring([str(source), "--out", str(out), "--engine", "ray", "--keep-rows"])
    asyncio.run(attempt(model, options, 1))
    finish(options)
    (part,) = out.iterdir()
    found = [json.loads(line)["token_count"] for line in part.read_text().splitlines()]
    assert found == [3, None, None, 3]


def test_a_folder_of_foreign_files_is_not_removed(tmp_path: Path) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("The river\n")
    out.mkdir()
    (out / "part-00000.jsonl").write_text('{"text": "years of work"}\n')
    command = [str(source), "--out", str(out), "--engine", "ray", "--overwrite"]
    with pytest.raises(OutputError, match="which no job wrote"):
        RayJob(parse_scoring(command)).prepare()
    assert (out / "part-00000.jsonl").exists()
