"""`--engine ray` on a cluster of this machine: the floats of the local engine, also after kills."""

import json
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from service.bulk import ray_executor
from service.bulk.__main__ import main
from service.bulk.input.splits import Split, split_inputs
from service.bulk.split_scorer import SplitScorer
from tests.ray.conftest import WORKERS
from tests.support.bulk_job import parse_scoring

pytestmark = pytest.mark.usefixtures("cluster")

SECONDS = 300


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    chance = random.Random(8)
    words = ["the", "city", "river", "of", "in", "was", "station", "film", "born", "Zxqvyk"]
    texts: list[str | None] = [
        " ".join(chance.choices(words, k=chance.randint(1, 40))) for _ in range(4000)
    ]
    texts[1234] = None
    table = pyarrow.table({"text": texts, "key": list(range(4000))})
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet", row_group_size=100)
    return tmp_path / "in.parquet"


@pytest.fixture(autouse=True)
def _small_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    def small(paths: list[Path], source: Any) -> list[Split]:
        return split_inputs(paths, source, 10_000)

    monkeypatch.setattr(ray_executor, "split_inputs", small)


def arguments(corpus: Path, out: Path, *more: str) -> list[str]:
    errors = ["--errors", str(out.parent / f"{out.name}.errors")]
    return [str(corpus), "--out", str(out), "--id", "key", *errors, *more]


def rows(folder: Path) -> list[dict[str, Any]]:
    return list(pyarrow.parquet.read_table(folder).to_pylist())


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the summary, without the lines that Ray prints on standard output."""
    output = capsys.readouterr().out
    return dict(json.JSONDecoder().raw_decode(output, output.index("{\n"))[0])


def actors() -> list[int]:
    """Return the process ids of the actors of this cluster."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if words.startswith(b"ray::") and b"SplitScorer" in words:
                found.append(int(process.name))
    return found


def kill_one_on_the_way(folder: Path, killed: list[int]) -> None:
    """Kill one actor when a few parts are finished."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if len(list(folder.glob("part-*.parquet"))) >= 3 and (running := actors()):
            killed.append(running[0])
            os.kill(running[0], signal.SIGKILL)
            return
        time.sleep(0.002)


def test_a_killed_worker_leaves_the_output_equal(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local, out = tmp_path / "local.parquet", tmp_path / "ray.parquet"
    assert main(arguments(corpus, local, "--json", "--threads", "2")) == 0
    expected = printed(capsys)
    killed: list[int] = []
    killer = threading.Thread(
        target=kill_one_on_the_way, args=(tmp_path / "ray.parquet.partial", killed)
    )
    killer.start()
    more = ("--engine", "ray", "--workers", str(WORKERS), "--json")
    assert main(arguments(corpus, out, *more)) == 0
    killer.join()
    assert killed
    found = printed(capsys)
    assert rows(out) == rows(local)
    assert len(rows(out)) == 3999
    errors = [tmp_path / f"{path.name}.errors" for path in (local, out)]
    assert errors[0].read_bytes() == errors[1].read_bytes()
    for measured in ("seconds", "cpu_seconds", "tokens_per_second"):
        for summary in (expected, found):
            summary.pop(measured, None)
    assert found == {
        name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        for name, value in expected.items()
    }
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"in.parquet", "local.parquet", "ray.parquet", *(path.name for path in errors)}
    assert {path.suffix for path in out.iterdir()} == {".parquet"}


def test_finished_parts_are_not_scored_again(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "ray.parquet"
    options = parse_scoring(arguments(corpus, out, "--engine", "ray"))
    todo = ray_executor.RayJob(options).prepare()
    scorer = SplitScorer(options)
    for split in todo[::2]:
        scorer({"split": [split]})
    assert ray_executor.RayJob(options).prepare() == todo[1::2]
    for split in todo[1::2]:
        scorer({"split": [split]})
    assert ray_executor.RayJob(options).prepare() == []
    monkeypatch.setattr(ray_executor, "_score", lambda *_: pytest.fail("nothing is left to score"))
    assert ray_executor.run(options)["documents"] == 3999
    assert len(rows(out)) == 3999


def test_strict_names_the_line(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ray.parquet"
    assert main(arguments(corpus, out, "--engine", "ray", "--strict")) == 1
    assert f"{corpus}, row 1235: the column text is null" in capsys.readouterr().err
    assert not out.exists()
