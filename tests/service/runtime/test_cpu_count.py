"""Cores are counted by affinity and by the quotas of control groups, here of files."""

import os
from pathlib import Path

import pytest

from service.runtime.cpu_count import cgroup_cores, usable_cores

NONE = Path("/no/such/cgroup")


def version_2(root: Path, limit: str) -> Path:
    (root / "cpu.max").write_text(limit)
    return root


def version_1(root: Path, quota: str, period: str) -> Path:
    (root / "cpu").mkdir()
    (root / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (root / "cpu" / "cpu.cfs_period_us").write_text(period)
    return root


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("200000 100000\n", 2.0),
        ("50000 100000\n", 0.5),
        ("max 100000\n", None),
        ("100000 0\n", None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_quota_of_version_2(tmp_path: Path, limit: str, cores: float | None) -> None:
    assert cgroup_cores(version_2(tmp_path, limit), NONE) == cores


@pytest.mark.parametrize(
    ("quota", "cores"), [("150000\n", 1.5), ("-1\n", None), ("0\n", None), ("\n", None)]
)
def test_quota_of_version_1(tmp_path: Path, quota: str, cores: float | None) -> None:
    assert cgroup_cores(version_1(tmp_path, quota, "100000\n"), NONE) == cores


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert cgroup_cores(tmp_path / "missing", NONE) is None


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("250000 100000", 3),
        ("1000 100000", 1),
        ("6400000 100000", 8),
    ],
)
def test_usable_cores_are_the_smaller_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert usable_cores(version_2(tmp_path, limit), NONE) == cores


def test_without_affinity_all_processors_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert usable_cores(tmp_path, NONE) == 3


def test_quotas_of_own_groups_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under `systemd-run -p CPUQuota=…`, where the root has no quota."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    own = tmp_path / "own"
    own.write_bytes(b"4:cpu,cpuacct:/old/group\n1:memory:/other\nodd\n0::/slice/\xff:unit\n")
    unit = tmp_path / "slice" / os.fsdecode(b"\xff:unit")
    for group in (unit, tmp_path / "other"):
        group.mkdir(parents=True)
    version_2(unit, "600000 100000")
    version_2(tmp_path / "other", "100000 100000")
    assert usable_cores(tmp_path, own) == 6
    version_2(tmp_path / "slice", "500000 100000")
    assert usable_cores(tmp_path, own) == 5
    (tmp_path / "cpu" / "old" / "group").mkdir(parents=True)
    (tmp_path / "cpu" / "old" / "group" / "cpu.cfs_quota_us").write_text("200000")
    (tmp_path / "cpu" / "old" / "group" / "cpu.cfs_period_us").write_text("100000")
    assert usable_cores(tmp_path, own) == 2
