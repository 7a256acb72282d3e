"""Admission with the limits that a test needs, and no others."""

import math

from service.inference.admission import Admission, Backlog
from service.limits import WaitLimits


def make_admission(
    backlog: Backlog,
    *,
    threads: int = 1,
    wait_limits: WaitLimits | None = None,
    max_queue_tokens: int = 10**9,
    max_body_bytes: int = 1 << 20,
) -> Admission:
    return Admission(
        backlog,
        threads=threads,
        wait_limits=wait_limits or WaitLimits(),
        max_queue_tokens=max_queue_tokens,
        max_body_bytes=max_body_bytes,
        request_timeout_seconds=math.inf,
    )
