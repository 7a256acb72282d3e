"""The runner: what comes alone and short runs at once, what comes together runs together."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from service.bundle import Bundle
from service.inference.engine_runner import EngineRunner
from service.inference.task import InferenceTask
from service.limits import WaitLimits
from service.runtime.metrics import Metrics


@pytest.fixture(scope="module")
def runner(bundle_path: Path) -> EngineRunner:
    return EngineRunner(
        Bundle.load(bundle_path),
        Metrics(),
        threads=2,
        max_batch_tokens=1024,
        max_queue_tokens=10_000,
        wait_limits=WaitLimits(),
        request_timeout_seconds=30,
    )


def asking(runner: EngineRunner, length: int, threads: list[str]) -> InferenceTask:
    """A sequence that writes down in which thread it was answered."""

    def answer(_: object) -> None:
        threads.append(threading.current_thread().name)

    ids = np.zeros(length, np.int64)
    return InferenceTask(ids, np.full(length, -1), runner.engine.zero_state(), ask=answer)


def test_a_short_sequence_alone_runs_where_it_is_asked_for(runner: EngineRunner) -> None:
    threads: list[str] = []
    asyncio.run(runner.run([asking(runner, 1, threads)], "interactive"))
    assert threads == [threading.current_thread().name]


def test_nothing_runs_here_while_others_need_the_event_loop(
    runner: EngineRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_callers", lambda: 2)
    threads: list[str] = []
    asyncio.run(runner.run([asking(runner, 1, threads)], "interactive"))
    assert threads != [threading.current_thread().name]


def test_a_long_sequence_leaves_the_event_loop_free(runner: EngineRunner) -> None:
    threads: list[str] = []
    asyncio.run(runner.run([asking(runner, 5000, threads)], "interactive"))
    assert threads != [threading.current_thread().name]


def test_what_comes_at_the_same_moment_runs_in_the_workers(runner: EngineRunner) -> None:
    threads: list[str] = []

    async def together() -> None:
        several = [asking(runner, 1, threads) for _ in range(20)]
        await asyncio.gather(*(runner.run([one], "interactive") for one in several))

    asyncio.run(together())
    assert len(threads) == 20
    assert threads.count(threading.current_thread().name) <= 1


def test_what_fails_at_once_fails_its_caller_alone(runner: EngineRunner) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    broken = asking(runner, 1, [])
    broken.ask = fail
    with pytest.raises(ZeroDivisionError):
        asyncio.run(runner.run([broken], "interactive"))
    threads: list[str] = []
    asyncio.run(runner.run([asking(runner, 1, threads)], "interactive"))
    assert len(threads) == 1


def test_who_leaves_while_arriving_does_not_keep_the_next_one_from_running_here(
    runner: EngineRunner,
) -> None:
    threads: list[str] = []

    async def leave_and_ask() -> None:
        leaving = asyncio.create_task(runner.run([asking(runner, 1, threads)], "interactive"))
        await asyncio.sleep(0)  # it has begun, and lets the others arrive
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert threads == []
        await runner.run([asking(runner, 1, threads)], "interactive")

    asyncio.run(leave_and_ask())
    assert threads == [threading.current_thread().name]
