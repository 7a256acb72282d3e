"""The number of cores that this process may use: the smaller of its affinity and its quotas.

onnxruntime and `os.cpu_count` count the host's cores, which are too many in a container or a
systemd unit.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores(cgroup: Path = CGROUP, own: Path = OWN_CGROUP) -> int:
    """Return the number of cores, at least 1. The file `own` lists the process's control groups,
    each of which may have a quota.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = cgroup_cores(cgroup, own)
    return max(1, min(affinity or 1, math.ceil(quota) if quota else affinity or 1))


def cgroup_cores(cgroup: Path, own: Path) -> float | None:
    """Return the smallest CPU quota ÷ period of the process's control groups and their parents, up
    to the root `cgroup`, in versions 2 and 1. Return None without a quota.
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
    """Yield the root, which is the only group visible in a container, and the process's own groups:
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
    """Return quota ÷ period in cores, or None for "max" and -1, which mean unlimited."""
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None
