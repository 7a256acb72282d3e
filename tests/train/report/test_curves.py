import struct
import zlib
from pathlib import Path

import pytest

from tests.support.tiny_training import contents, full_disk
from train.report.curves import draw_learning_curve, minutes, perplexity_plot, tokens
from train.report.metrics import Line


def line(step: int, kind: str = "train", **figures: float) -> Line:
    return {"kind": kind, "step": step, "seconds": 60.0 * step, "perplexity": 9 / step, **figures}


def chunks(png: bytes) -> list[bytes]:
    """Return the names of a PNG's chunks after checking their checksums."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    names, at = [], 8
    while at < len(png):
        (length,), name = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        data, (check,) = (
            png[at + 8 : at + 8 + length],
            struct.unpack(">I", png[at + 8 + length : at + 12 + length]),
        )
        assert zlib.crc32(name + data) == check
        names.append(name)
        at += 12 + length
    return names


def test_learning_curve_is_one_png(tmp_path: Path) -> None:
    metrics = [line(1), line(2), line(2, "validation"), line(3), line(4, "validation")]
    draw_learning_curve(metrics, "toy", tmp_path / "curve.png")
    assert contents(tmp_path).keys() == {"curve.png"}
    names = chunks((tmp_path / "curve.png").read_bytes())
    assert (names[0], names[-1]) == (b"IHDR", b"IEND")


def test_curve_depends_on_the_run_alone(tmp_path: Path) -> None:
    for name, steps in (("a.png", 2), ("b.png", 9), ("c.png", 9)):
        draw_learning_curve([line(i) for i in range(1, steps)], "toy", tmp_path / name)
    a, b, c = (content for _, content in sorted(contents(tmp_path).items()))
    assert a != b
    assert b == c


def test_full_disk_leaves_no_partial_curve(tmp_path: Path) -> None:
    with full_disk(100), pytest.raises(OSError, match="File too large"):
        draw_learning_curve([line(1)], "toy", tmp_path / "curve.png")
    assert contents(tmp_path) == {}


def test_axes_are_minutes_and_tokens() -> None:
    lines = [
        line(1, tokens=10),
        line(2, tokens=20),
        line(2, "validation"),
        line(3, tokens=5),
    ]
    assert minutes(lines) == [1, 2, 2, 3]
    assert tokens(lines) == [10, 30, 30, 35]


def test_many_runs_and_huge_perplexities_are_drawn() -> None:
    runs = {
        f"run {i}": [
            line(1, perplexity=1.0),
            line(1, "validation", perplexity=10.0**i),
            line(2, perplexity=1e300),
        ]
        for i in range(20)
    }
    assert chunks(perplexity_plot(runs, minutes))
    assert chunks(perplexity_plot({"no validation": [line(1)]}, tokens))
