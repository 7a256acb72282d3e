"""The wait estimate follows the measured batches, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.tuning import TUNING
from service.inference.wait_estimator import WaitEstimator


def test_at_first_every_thread_has_a_core() -> None:
    assert WaitEstimator(4).seconds_per_cpu_second == 0.25


@given(st.integers(1, 16), st.floats(0.05, 20))
def test_the_estimate_converges_to_the_measured_ratio(threads: int, ratio: float) -> None:
    """Batches of 10 ms of processor time end every `ratio` times 10 ms."""
    estimator, now = WaitEstimator(threads), 1000.0
    for _ in range(int(50 * TUNING.wait_window_seconds / (0.01 * min(ratio, 1)))):
        now += 0.01 * ratio
        estimator.observe(0.01, now, tasks_wait=True)
    assert estimator.seconds_per_cpu_second == pytest.approx(ratio, rel=0.1)


def test_idle_time_is_not_slowness() -> None:
    estimator, now = WaitEstimator(2), 0.0
    for _ in range(100):
        estimator.observe(0.01, now, tasks_wait=True)
        now += 3600
        estimator.observe(0.01, now, tasks_wait=False)
    assert estimator.seconds_per_cpu_second == 0.5


def test_a_stall_is_soon_forgotten() -> None:
    estimator, now = WaitEstimator(1), 0.0
    estimator.observe(0.1, now, tasks_wait=True)
    estimator.observe(0.1, now + 1e6, tasks_wait=True)
    now += 1e6
    for _ in range(200):
        now += 0.1
        estimator.observe(0.1, now, tasks_wait=True)
    assert estimator.seconds_per_cpu_second == pytest.approx(1, rel=0.05)
