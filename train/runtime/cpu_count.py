"""How many cores this process may use: of its affinity and its control groups. Imports no torch.

PyTorch counts the cores of the machine, which in a container are too many.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def usable_cores(cgroup: Path = CGROUP, own: Path = OWN_CGROUP) -> int:
    """Return the smaller of the process's affinity and its control groups' quotas; at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([affinity or 1, *map(math.ceil, _quotas(cgroup, own))]))


def _quotas(cgroup: Path, own: Path) -> Iterator[float]:
    """Yield quota ÷ period of the process's control groups, version 2 and 1, up to the root."""
    for path in (Path(), *_own_groups(own)):
        for parent in (path, *path.parents):
            for found in (_version_2(cgroup / parent), _version_1(cgroup / "cpu" / parent)):
                if found is not None:
                    yield found


def _own_groups(own: Path) -> Iterator[Path]:
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:  # hierarchy:controllers:path
        _, controllers, path = line.split(":", 2)
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
    """None for "max" and -1: no limit."""
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 else None
