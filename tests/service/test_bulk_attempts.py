"""A split of `--engine ray` that two workers score at once, because one was only thought dead."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.bulk import ray_engine
from service.bulk.job_files import ATTEMPT
from service.bulk.model import load
from service.bulk.options import Options, parse
from service.language_model import LanguageModel
from service.settings import STARTER_BUNDLE


@pytest.fixture(scope="module")
def model() -> Iterator[LanguageModel]:
    model = load(STARTER_BUNDLE, 1)
    yield model
    model.close()


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet", "out.tsv.gz"])
def test_both_write_the_same_and_neither_harms_the_other(
    tmp_path: Path, model: LanguageModel, name: str
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("The city was old.\n\nA river of ice.\n" * 20)
    contents = []
    for attempts in (1, 2):
        out = tmp_path / str(attempts) / name
        out.parent.mkdir()
        options = parse([str(source), "--out", str(out), "--engine", "ray"])
        asyncio.run(attempt(model, options, attempts))
        killed = out.with_name(f"{name}.partial") / f"{ATTEMPT}of-a-worker-that-died"
        killed.mkdir()
        ray_engine._finish(options)
        contents.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 1


async def attempt(model: LanguageModel, options: Options, times: int) -> None:
    (split,) = ray_engine._prepare(options)
    await asyncio.gather(*[ray_engine.score_split(model, options, split) for _ in range(times)])
