"""Tests that threads spin on free cores and sleep while other programs need the cores."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support.tiny_training import ROOT
from train.runtime.thread_waiting import BUSY_SHARE, QUIET_PERIODS, SpinControl


@pytest.fixture
def control() -> Iterator[SpinControl]:
    with SpinControl(Path("/nowhere")) as made:
        yield made


def idle_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "idle-openmp"]


def test_threads_sleep_while_they_wait_for_a_core(control: SpinControl) -> None:
    control.observe(BUSY_SHARE / 2)
    assert control.spins
    control.observe(BUSY_SHARE * 2)
    assert not control.spins
    assert idle_threads() == ["idle-openmp"]
    for _ in range(QUIET_PERIODS - 1):
        control.observe(0)
    control.observe(BUSY_SHARE * 2)  # restarts the count, and starts no second thread
    assert idle_threads() == ["idle-openmp"]
    for _ in range(QUIET_PERIODS - 1):
        control.observe(0)
        assert not control.spins
    control.observe(0)
    assert control.spins
    assert idle_threads() == []


def test_the_end_leaves_no_thread() -> None:
    with SpinControl(Path("/nowhere")) as control:
        control.observe(1)
        assert idle_threads() == ["idle-openmp"]
    assert idle_threads() == []


def write_tasks(folder: Path, *waited_seconds: float) -> None:
    for number, seconds in enumerate(waited_seconds):
        (folder / str(number)).mkdir(exist_ok=True)
        (folder / str(number) / "schedstat").write_text(f"7 {round(seconds * 1e9)} 3\n")


def test_waiting_is_summed_over_all_threads(tmp_path: Path) -> None:
    write_tasks(tmp_path, 1.5, 0.25)
    assert SpinControl(tmp_path)._waited_seconds() == pytest.approx(1.75)
    (tmp_path / "0" / "schedstat").write_text("")
    assert SpinControl(tmp_path)._waited_seconds() is None
    assert SpinControl(tmp_path / "missing")._waited_seconds() is None


def test_only_several_threads_are_monitored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    write_tasks(tmp_path, 0)

    def monitored() -> bool:
        with SpinControl(tmp_path):
            return any(thread.name == "spin-control" for thread in threading.enumerate())

    for threads, expected in ((1, False), (2, True)):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=threads: count)
        assert monitored() is expected
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")  # the user's setting takes precedence
    assert not monitored()


def test_a_busy_machine_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr("train.runtime.thread_waiting.PERIOD_SECONDS", 0.01)
    noticed = threading.Event()
    monkeypatch.setattr(SpinControl, "_stop_spinning", lambda _: noticed.set())
    write_tasks(tmp_path, 0)
    with SpinControl(tmp_path):
        for seconds in range(1, 6001):  # more waiting than time
            write_tasks(tmp_path, 1000.0 * seconds)
            if noticed.wait(0.01):
                return
    pytest.fail("nothing noticed that threads wait")


POOLS = """
import os, sys, torch
from train.runtime.thread_waiting import SpinControl
torch.set_num_threads(2)
torch.zeros(1 << 20).add_(1)
count = lambda: len(os.listdir("/proc/self/task"))
control, before = SpinControl(), count()
control.observe(1)
for _ in range(600):
    if count() == before + 2:
        break
    control._end.wait(0.1)
print(count() - before)
control.observe(1)
print(count() - before)
control._allow_spinning()
for _ in range(600):
    if count() == before:
        break
    control._end.wait(0.1)
print(count() - before)
"""


def test_idle_thread_has_openmp_threads_of_its_own() -> None:
    """libgomp sleeps instead of spinning if it has more threads than there are cores."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    output = subprocess.check_output(
        [sys.executable, "-c", POOLS], cwd=ROOT, env=environment, text=True, timeout=120
    )
    assert output.split() == ["2", "2", "0"]
