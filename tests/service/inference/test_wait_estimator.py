"""The estimate of how fast waiting work is done follows what was measured, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.wait_estimator import WINDOW_SECONDS, WaitEstimator


def test_before_anything_was_measured_every_thread_has_a_core() -> None:
    assert WaitEstimator(4).clock_seconds_per_run_second == 0.25


@given(st.integers(1, 16), st.floats(0.05, 20))
def test_it_comes_to_what_is_measured(threads: int, ratio: float) -> None:
    """Runs that each took 10 ms of the processor end every `ratio` times that."""
    pace, now = WaitEstimator(threads), 1000.0
    for _ in range(int(50 * WINDOW_SECONDS / (0.01 * min(ratio, 1)))):
        now += 0.01 * ratio
        pace.ran(0.01, now, work_waits=True)
    assert pace.clock_seconds_per_run_second == pytest.approx(ratio, rel=0.1)


def test_idle_time_is_not_slowness() -> None:
    pace, now = WaitEstimator(2), 0.0
    for _ in range(100):
        pace.ran(0.01, now, work_waits=True)
        now += 3600
        pace.ran(0.01, now, work_waits=False)
    assert pace.clock_seconds_per_run_second == 0.5


def test_a_machine_that_stood_still_is_soon_believed_to_be_fast_again() -> None:
    pace, now = WaitEstimator(1), 0.0
    pace.ran(0.1, now, work_waits=True)
    pace.ran(0.1, now + 1e6, work_waits=True)
    now += 1e6
    for _ in range(200):
        now += 0.1
        pace.ran(0.1, now, work_waits=True)
    assert pace.clock_seconds_per_run_second == pytest.approx(1, rel=0.05)
