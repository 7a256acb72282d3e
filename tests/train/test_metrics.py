import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.tiny import contents, full_disk
from train.metrics import MetricsLog, draw_learning_curve, read_metrics


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


def test_a_resumed_log_drops_what_will_be_written_anew(tmp_path: Path) -> None:
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


def test_the_learning_curve_is_a_whole_png_and_nothing_else(tmp_path: Path) -> None:
    metrics = [line(1), line(2), line(2, "validation"), line(3), line(4, "validation")]
    draw_learning_curve(metrics, "toy", tmp_path / "curve.png")
    assert contents(tmp_path).keys() == {"curve.png"}
    content = (tmp_path / "curve.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    names, at = [], 8
    while at < len(content):
        (length,), name = struct.unpack(">I", content[at : at + 4]), content[at + 4 : at + 8]
        data, (check,) = (
            content[at + 8 : at + 8 + length],
            struct.unpack(">I", content[at + 8 + length : at + 12 + length]),
        )
        assert zlib.crc32(name + data) == check
        names.append(name)
        at += 12 + length
    assert (names[0], names[-1]) == (b"IHDR", b"IEND")


def test_a_longer_run_draws_another_curve(tmp_path: Path) -> None:
    for name, steps in (("a.png", 2), ("b.png", 9)):
        draw_learning_curve([line(i) for i in range(1, steps)], "toy", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_a_full_disk_leaves_no_part_of_a_curve(tmp_path: Path) -> None:
    with full_disk(100), pytest.raises(OSError, match="File too large"):
        draw_learning_curve([line(1)], "toy", tmp_path / "curve.png")
    assert contents(tmp_path) == {}
