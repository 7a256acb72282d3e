"""The wait line lets requests run first come, first served, a few at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from service.errors import DeadlineExceeded
from service.inference.event_loop_lag import LoopLag
from service.inference.wait_line import (
    MAX_LAG_SECONDS,
    MAX_WOKEN,
    TOKENS_PER_REQUEST,
    WINDOW_SECONDS,
    WaitLine,
)

Task = asyncio.Task[None]


class Requests:
    """Requests that run until the test ends them, by name."""

    def __init__(self, line: WaitLine) -> None:
        self.line = line
        self.started: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}

    async def come(self, name: str, tokens: int = 10) -> Task:
        self._ends[name] = asyncio.Event()

        async def request() -> None:
            await self.line.acquire(tokens)
            self.started.append(name)
            await self._ends[name].wait()
            self.line.release(tokens)

        task = asyncio.create_task(request())
        await turn_the_loop()
        return task

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await turn_the_loop()


class FixedLag(LoopLag):
    """A lag that the test sets, because a probe would overwrite it on a slow machine."""

    def watch(self, is_needed: Callable[[], bool]) -> None:
        pass


async def turn_the_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def run_scenario(scenario: Callable[[Requests], Awaitable[None]], line: WaitLine) -> None:
    async def run() -> None:
        await scenario(Requests(line))

    asyncio.run(run())
    assert line.waiting_tokens == 0
    assert line.expected_wait_seconds == 0


def test_requests_run_in_order() -> None:
    async def scenario(requests: Requests) -> None:
        tasks = [await requests.come(name) for name in "abcde"]
        assert requests.started == ["a", "b"]
        assert requests.line.waiting_tokens == 30
        await requests.end("b")
        assert requests.started == ["a", "b", "c"]
        for name in "acde":
            await requests.end(name)
        await asyncio.gather(*tasks)
        assert requests.started == list("abcde")

    run_scenario(scenario, WaitLine(2, 1000, 60))


def test_tokens_bound_the_running_requests() -> None:
    async def scenario(requests: Requests) -> None:
        tasks = [await requests.come(name, tokens=40) for name in "abc"]
        assert requests.started == ["a", "b"]
        for name in "abc":
            await requests.end(name)
        await asyncio.gather(*tasks)

    run_scenario(scenario, WaitLine(100, 100, 60))


def test_a_request_beyond_the_bound_runs_alone() -> None:
    async def scenario(requests: Requests) -> None:
        small = await requests.come("small")
        huge = await requests.come("huge", tokens=10**9)
        late = await requests.come("late")
        assert requests.started == ["small"]
        await requests.end("small")
        assert requests.started == ["small", "huge"]
        await requests.end("huge")
        assert requests.started == ["small", "huge", "late"]
        await requests.end("late")
        await asyncio.gather(small, huge, late)

    run_scenario(scenario, WaitLine(100, 100, 60))


def test_a_cancelled_request_leaves_the_line() -> None:
    async def scenario(requests: Requests) -> None:
        first, cancelled, last = [
            await requests.come(name) for name in ("first", "cancelled", "last")
        ]
        cancelled.cancel()
        await turn_the_loop()
        assert requests.line.waiting_tokens == 10
        await requests.end("first")
        assert requests.started == ["first", "last"]
        await requests.end("last")
        await asyncio.gather(first, last)

    run_scenario(scenario, WaitLine(1, 1000, 60))


def test_a_request_cancelled_when_woken_wakes_the_next() -> None:
    async def scenario(requests: Requests) -> None:
        first, cancelled, last = [
            await requests.come(name) for name in ("first", "cancelled", "last")
        ]
        requests._ends["first"].set()
        await asyncio.sleep(0)  # the first ends and wakes the second, whose task has not run yet
        cancelled.cancel()
        await turn_the_loop()
        assert requests.started[-1] == "last"
        await requests.end("last")
        await asyncio.gather(first, last)

    run_scenario(scenario, WaitLine(1, 1000, 60))


def test_a_request_that_waits_too_long_fails() -> None:
    async def scenario(requests: Requests) -> None:
        first = await requests.come("first")
        waits = await requests.come("waits")
        with pytest.raises(DeadlineExceeded, match=r"0\.01 seconds"):
            await waits
        await requests.end("first")
        await first

    run_scenario(scenario, WaitLine(1, 1000, 0.01))


def test_a_request_cancelled_when_overdue_is_counted_once() -> None:
    async def scenario(requests: Requests) -> None:
        first = await requests.come("first")
        cancelled = await requests.come("cancelled")
        requests.line._timeout_seconds = 0.0
        requests.line._fail_overdue()  # its task has not run yet
        requests.line._timeout_seconds = 60.0
        cancelled.cancel()
        await turn_the_loop()
        later = await requests.come("later")
        assert requests.started == ["first"]
        await requests.end("first")
        await requests.end("later")
        await asyncio.gather(first, later)

    run_scenario(scenario, WaitLine(1, 1000, 60))


def test_a_late_loop_wakes_no_request() -> None:
    async def scenario(requests: Requests) -> None:
        names = [str(number) for number in range(3 + 2 * MAX_WOKEN)]
        tasks = [await requests.come(name) for name in names]
        line = requests.line
        assert requests.started == names[:3]
        line._lag.seconds = 2 * MAX_LAG_SECONDS
        await requests.end("0")
        await requests.end("1")
        assert requests.started == names[:3]
        line._max_requests = 1000
        await requests.end("2")  # the last one that ran: one request always runs
        assert requests.started == names[:4]
        line._lag.seconds = 0.0
        line._wake_if_on_time()
        await turn_the_loop()
        assert requests.started == names[: 4 + MAX_WOKEN]
        for name in names[3:]:
            await requests.end(name)
        await asyncio.gather(*tasks)
        assert requests.started == names

    line = WaitLine(3, 10**6, 60)
    line._lag = FixedLag()
    run_scenario(scenario, line)


def test_the_lag_is_measured_while_requests_wait() -> None:
    async def scenario(requests: Requests) -> None:
        tasks = [await requests.come(name) for name in "ab"]
        time.sleep(0.1)  # blocks the event loop
        seen = []
        for _ in range(5):
            await asyncio.sleep(0)
            seen.append(requests.line._lag.seconds)
        assert max(seen) >= 0.05
        await requests.end("a")
        await requests.end("b")
        await asyncio.gather(*tasks)
        while requests.line._lag._is_needed is not None:
            await asyncio.sleep(0.001)

    run_scenario(scenario, WaitLine(1, 1000, 60))


def test_the_expected_wait_follows_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request of 76 + 24 tokens ends each second: a token takes 10 ms."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    tokens = 100 - TOKENS_PER_REQUEST

    async def scenario(requests: Requests) -> None:
        nonlocal now
        tasks = [await requests.come(str(number), tokens) for number in range(60)]
        assert requests.line.expected_wait_seconds == 0  # the speed is unknown
        for number in range(20):
            now += 1.0
            await requests.end(str(number))
        waiting = 60 - 20 - 1
        assert requests.line.expected_wait_seconds == pytest.approx(waiting, rel=0.01)
        for number in range(20, 60):
            await requests.end(str(number))
        await asyncio.gather(*tasks)

    assert WINDOW_SECONDS < 1
    run_scenario(scenario, WaitLine(1, 10**6, 1e9))


def test_a_stall_is_not_slowness(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    async def scenario(requests: Requests) -> None:
        nonlocal now
        tasks = [await requests.come(str(number), 76) for number in range(40)]
        for number in range(40):
            if number == 5:
                before = requests.line.expected_wait_seconds
            now += 3600.0 if number == 5 else 1.0
            await requests.end(str(number))
            if number == 5:
                assert requests.line.expected_wait_seconds < 2 * before
        await asyncio.gather(*tasks)

    run_scenario(scenario, WaitLine(1, 10**6, 1e9))
