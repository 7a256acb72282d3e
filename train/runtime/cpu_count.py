"""The number of cores that this process may use, by its CPU affinity and its control groups.

PyTorch counts the cores of the machine, which is too many in a container. Imports no torch.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores(cgroup: Path = CGROUP, own: Path = OWN_CGROUP) -> int:
    """Return the smallest of the affinity and the quotas of the control groups, at least 1.

    `cgroup` is the root of all control groups; the file `own` lists the process's groups.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([affinity or 1, *map(math.ceil, _quotas(cgroup, own))]))


def _quotas(cgroup: Path, own: Path) -> Iterator[float]:
    """Yield quota ÷ period of the process's groups and their parents, version 2 and version 1."""
    for path in (Path(), *_own_groups(own)):
        for group in (path, *path.parents):
            for quota in (_version_2(cgroup / group), _version_1(cgroup / "cpu" / group)):
                if quota is not None:
                    yield quota


def _own_groups(own: Path) -> Iterator[Path]:
    """Yield the path of each group in lines such as `4:cpu,cpuacct:/docker/a`.

    A malformed line counts as a path of its own, whose group does not exist.
    """
    try:
        lines = os.fsdecode(own.read_bytes()).splitlines()
    except OSError:
        return
    for line in lines:  # hierarchy:controllers:path
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
    except (OSError, ValueError):
        return None
    return _ratio(quota, period)


def _ratio(quota: str, period: str) -> float | None:
    """Return the quota in cores, or None for "max" and -1, which mean no limit."""
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None
