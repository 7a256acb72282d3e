"""How many cores this process may use: the smaller of its affinity and its control group's quota.

onnxruntime and `os.cpu_count` count the host's cores, which in a container are too many.
"""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = CGROUP) -> int:
    """At least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = cgroup_cores(cgroup)
    return max(1, min(affinity or 1, math.ceil(quota) if quota else affinity or 1))


def cgroup_cores(cgroup: Path) -> float | None:
    """CPU quota ÷ period of a control group, version 2 or 1; None where there is no limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max": no limit
        return None
    return cores if cores > 0 else None
