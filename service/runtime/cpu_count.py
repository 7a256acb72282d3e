"""How many cores this process may use: the smaller of its affinity and its control groups' quotas.

onnxruntime and `os.cpu_count` count the host's cores, which in a container or a systemd unit are
too many.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores(cgroup: Path = CGROUP, own: Path = OWN_CGROUP) -> int:
    """Return at least 1. `own` names the process's groups, each of which may have a quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = cgroup_cores(cgroup, own)
    return max(1, min(affinity or 1, math.ceil(quota) if quota else affinity or 1))


def cgroup_cores(cgroup: Path, own: Path) -> float | None:
    """Return the smallest CPU quota ÷ period of the process's control groups and of those around
    them up to the root `cgroup`, version 2 and 1; None where there is no limit.
    """
    quotas = [
        quota
        for path in _own_paths(own)
        for group in (path, *path.parents)
        for quota in (_version_2(cgroup / group), _version_1(cgroup / "cpu" / group))
        if quota is not None
    ]
    return min(quotas, default=None)


def _own_paths(own: Path) -> Iterator[Path]:
    """Yield the root, which is the only group that a container sees, and the process's own groups:
    `0::/system.slice/tiedlm.service` in version 2, `4:cpu,cpuacct:/docker/a` in version 1.
    """
    yield Path()
    try:
        lines = os.fsdecode(own.read_bytes()).splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers or "cpu" in controllers.split(","):
            yield Path(path.lstrip("/"))


def _version_2(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return _ratio(quota, period)


def _version_1(group: Path) -> float | None:
    try:
        quota = (group / "cpu.cfs_quota_us").read_text()
        period = (group / "cpu.cfs_period_us").read_text()
    except OSError:
        return None
    return _ratio(quota, period)


def _ratio(quota: str, period: str) -> float | None:
    """Return None for "max" and -1, which are no limit."""
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None
