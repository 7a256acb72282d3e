import os
from pathlib import Path

import pytest
import torch

from train.config import TrainConfig
from train.runtime.cpu_count import usable_cores
from train.runtime.hardware import set_threads


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("content", "cores"),
    [("max 100000", 8), ("150000 100000", 2), ("1000 100000", 1), ("900000 100000", 8), ("", 8)],
)
def test_a_quota_bounds_the_cores(tmp_path: Path, content: str, cores: int) -> None:
    write(tmp_path / "cpu.max", content)
    assert usable_cores(tmp_path, tmp_path / "none") == cores


def test_a_quota_of_version_1_bounds_the_cores(tmp_path: Path) -> None:
    write(tmp_path / "cpu" / "cpu.cfs_quota_us", "300000\n")
    write(tmp_path / "cpu" / "cpu.cfs_period_us", "100000\n")
    assert usable_cores(tmp_path, tmp_path / "none") == 3
    write(tmp_path / "cpu" / "cpu.cfs_quota_us", "-1\n")
    assert usable_cores(tmp_path, tmp_path / "none") == 8


def test_quotas_of_all_own_groups_count(tmp_path: Path) -> None:
    own = tmp_path / "own"
    write(own, "4:cpu,cpuacct:/old/group\n1:memory:/other\n0::/slice/unit\n")
    write(tmp_path / "slice" / "unit" / "cpu.max", "600000 100000")
    write(tmp_path / "slice" / "cpu.max", "500000 100000")
    write(tmp_path / "other" / "cpu.max", "100000 100000")
    assert usable_cores(tmp_path, own) == 5
    write(tmp_path / "cpu" / "old" / "group" / "cpu.cfs_quota_us", "200000")
    write(tmp_path / "cpu" / "old" / "group" / "cpu.cfs_period_us", "100000")
    assert usable_cores(tmp_path, own) == 2


def test_malformed_groups_are_ignored(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_bytes(b"nonsense\n\n1:cpu\n0::/caf\xe9\n")
    write(tmp_path / "cpu.max", "200000 100000")
    assert usable_cores(tmp_path, own) == 2
    write(tmp_path / "cpu.max", "many 0 of them")
    assert usable_cores(tmp_path, own) == 8


def test_threads_are_those_asked_for_or_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 16)
    monkeypatch.setattr("train.runtime.hardware.usable_cores", lambda: 3)
    monkeypatch.setenv("RAYON_NUM_THREADS", "2")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    set_threads(TrainConfig())
    set_threads(TrainConfig(threads=5))
    assert chosen == [3, 5]
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    set_threads(TrainConfig())  # PyTorch has read it itself
    assert chosen == [3, 5]
