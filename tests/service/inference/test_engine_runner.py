"""A short task that comes alone runs inline; tasks that come together run in the workers."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from service.bundle import Bundle
from service.inference.engine_runner import EngineRunner
from service.inference.scheduler import Scheduler
from service.inference.task import InferenceTask
from service.runtime.metrics import Metrics
from tests.support.admission import make_admission


@pytest.fixture(scope="module")
def runner(bundle_path: Path) -> EngineRunner:
    scheduler: Scheduler[InferenceTask] = Scheduler(1024)
    return EngineRunner(
        Bundle.load(bundle_path),
        Metrics(),
        scheduler,
        make_admission(scheduler, threads=2),
        threads=2,
        request_timeout_seconds=30,
    )


def make_task(runner: EngineRunner, length: int, threads: list[str]) -> InferenceTask:
    """Return a task that adds the name of the thread that runs it to `threads`."""

    def on_distribution(_: object) -> None:
        threads.append(threading.current_thread().name)

    ids = np.zeros(length, np.int64)
    targets, state = np.full(length, -1), runner.engine.zero_state()
    return InferenceTask(ids, targets, state, on_distribution=on_distribution)


def test_a_short_task_alone_runs_inline(runner: EngineRunner) -> None:
    threads: list[str] = []
    asyncio.run(runner.run([make_task(runner, 1, threads)], "interactive"))
    assert threads == [threading.current_thread().name]


def test_no_task_runs_inline_while_other_requests_run(
    runner: EngineRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner._admission, "requests", 2)
    threads: list[str] = []
    asyncio.run(runner.run([make_task(runner, 1, threads)], "interactive"))
    assert threads != [threading.current_thread().name]


def test_a_long_task_runs_in_a_worker(runner: EngineRunner) -> None:
    threads: list[str] = []
    asyncio.run(runner.run([make_task(runner, 5000, threads)], "interactive"))
    assert threads != [threading.current_thread().name]


def test_tasks_that_come_together_run_in_the_workers(runner: EngineRunner) -> None:
    threads: list[str] = []

    async def together() -> None:
        several = [make_task(runner, 1, threads) for _ in range(20)]
        await asyncio.gather(*(runner.run([one], "interactive") for one in several))

    asyncio.run(together())
    assert len(threads) == 20
    assert threads.count(threading.current_thread().name) <= 1


def test_a_failing_inline_task_fails_its_caller_alone(runner: EngineRunner) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    broken = make_task(runner, 1, [])
    broken.on_distribution = fail
    with pytest.raises(ZeroDivisionError):
        asyncio.run(runner.run([broken], "interactive"))
    threads: list[str] = []
    asyncio.run(runner.run([make_task(runner, 1, threads)], "interactive"))
    assert len(threads) == 1


def test_a_cancelled_task_leaves_inline_runs_possible(runner: EngineRunner) -> None:
    threads: list[str] = []

    async def cancel_and_run() -> None:
        cancelled = asyncio.create_task(runner.run([make_task(runner, 1, threads)], "interactive"))
        await asyncio.sleep(0)  # it has started, and lets the others arrive
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert threads == []
        await runner.run([make_task(runner, 1, threads)], "interactive")

    asyncio.run(cancel_and_run())
    assert threads == [threading.current_thread().name]
