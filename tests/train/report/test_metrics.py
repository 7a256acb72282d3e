import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tiny_training import contents
from train.report.metrics import (
    Line,
    MetricsLog,
    interval,
    read_metrics,
    step_milliseconds,
    tokens_per_second,
)
from train.runtime.stopwatch import STEP_PARTS


def line(step: int, kind: str = "train", **figures: Any) -> dict[str, Any]:
    return {"kind": kind, "step": step, "seconds": 60.0 * step, "perplexity": 9 / step, **figures}


def written(path: Path, steps: list[int]) -> None:
    path.write_text("".join(json.dumps(line(step)) + "\n" for step in steps), encoding="utf-8")


def steps_in(path: Path) -> list[int]:
    return [json.loads(entry)["step"] for entry in path.read_text(encoding="utf-8").splitlines()]


def test_every_figure_is_one_whole_line_of_json(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl", 0)
    log.write(**line(1, note="two\nlines and \u2028 more"))
    log.write(**line(2))
    raw = (tmp_path / "metrics.jsonl").read_bytes()
    assert raw.count(b"\n") == 2
    assert raw.endswith(b"}\n")
    assert [json.loads(entry) for entry in raw.split(b"\n")[:-1]] == [
        line(1, note="two\nlines and \u2028 more"),
        line(2),
    ]
    assert read_metrics(tmp_path / "metrics.jsonl")[0]["note"] == "two\nlines and \u2028 more"


def test_resumed_log_drops_later_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    written(path, [1, 2, 2, 3, 4])
    log = MetricsLog(path, step=2)
    assert steps_in(path) == [1, 2, 2]
    log.write(**line(3))
    assert steps_in(path) == [1, 2, 2, 3]
    assert contents(tmp_path).keys() == {"metrics.jsonl"}


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 320))
def test_a_log_cut_anywhere_keeps_its_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "metrics.jsonl"
    written(path, [1, 2, 3, 4])
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    complete = whole[:cut].count(b"}")
    assert [entry["step"] for entry in read_metrics(path)] == [1, 2, 3, 4][:complete]
    MetricsLog(path, step=9).write(**line(9))
    assert steps_in(path) == [*[1, 2, 3, 4][:complete], 9]


def test_no_log_is_no_lines(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "missing.jsonl") == []


def test_followers_get_present_and_new_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    written(path, [1, 2, 3])
    log = MetricsLog(path, step=2)
    calls: list[list[Line]] = []
    log.follow(calls.append)
    log.write(**line(3))
    log.write(**line(4))
    assert calls == [[line(1), line(2)], [line(3)], [line(4)]]
    assert steps_in(path) == [1, 2, 3, 4]


def train_line(step: int, epoch: int, seconds: float, tokens: int, **figures: float) -> Line:
    return {"kind": "train", "step": step, "epoch": epoch, "seconds": seconds, "tokens": tokens} | (
        figures
    )


def test_speed_is_the_median_within_an_epoch() -> None:
    lines = [
        train_line(10, 1, 100.0, 50),  # began at an unknown time
        train_line(20, 1, 101.0, 50),  # 50 per second
        train_line(30, 1, 103.0, 50),  # 25
        {"kind": "validation", "step": 30, "epoch": 1, "seconds": 200.0, "perplexity": 2.0},
        train_line(40, 2, 201.0, 50),  # contains the evaluation
        train_line(50, 2, 211.0, 50),  # 5
        train_line(55, 2, 211.0, 50),  # the clock stood still
    ]
    assert tokens_per_second(lines) == 25
    assert tokens_per_second(lines[:1]) == tokens_per_second([]) == 0


def test_step_parts_are_means_over_steps() -> None:
    parts = {f"{part}_seconds": 0.1 * number for number, part in enumerate(STEP_PARTS, 1)}
    lines = [
        train_line(10, 1, 1.0, 50),  # of an older version
        train_line(40, 1, 2.0, 50, **parts),  # 30 steps
        {"kind": "validation", "step": 40, "epoch": 1, "seconds": 2.0, "perplexity": 2.0},
        train_line(50, 2, 3.0, 50, **dict.fromkeys(parts, 0.5)),  # 10 steps
    ]
    expected = {part: 1000 * (0.1 * number + 0.5) / 40 for number, part in enumerate(STEP_PARTS, 1)}
    assert step_milliseconds(lines) == pytest.approx(expected)
    assert step_milliseconds(lines[:1]) == {}
    assert interval(None, lines[1]).milliseconds["data"] == pytest.approx(100 / 40)


def test_step_parts_count_timed_steps_alone() -> None:
    """A run that was resumed at step 40 wrote its next line at step 50."""
    parts = dict.fromkeys((f"{part}_seconds" for part in STEP_PARTS), 0.5)
    lines = [train_line(0, 1, 0.0, 50), train_line(50, 1, 9.0, 50, **parts, timed_steps=10)]
    assert interval(*lines).milliseconds == dict.fromkeys(STEP_PARTS, 50.0)
    assert interval(lines[0], {**lines[1], "timed_steps": 0}).milliseconds == {}
