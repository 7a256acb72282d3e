"""A line lets requests through first come, first served, a few at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from service.errors import DeadlineExceeded
from service.inference.wait_line import (
    LATE_SECONDS,
    MAX_CALLED,
    TOKENS_PER_REQUEST,
    WINDOW_SECONDS,
    WaitLine,
)

Task = asyncio.Task[None]


class ConcurrentClients:
    """Requests that stay in the application until they are told to end."""

    def __init__(self, line: WaitLine) -> None:
        self.line = line
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}

    async def comes(self, name: str, tokens: int = 10) -> Task:
        self._ends[name] = asyncio.Event()

        async def request() -> None:
            await self.line.wait(tokens)
            self.begun.append(name)
            await self._ends[name].wait()
            self.line.end(tokens)

        task = asyncio.create_task(request())
        await turns_of_the_loop()
        return task

    async def ends(self, name: str) -> None:
        self._ends[name].set()
        await turns_of_the_loop()


async def turns_of_the_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def with_crowd(story: Callable[[ConcurrentClients], Awaitable[None]], line: WaitLine) -> None:
    async def told() -> None:
        await story(ConcurrentClients(line))

    asyncio.run(told())
    assert line.waiting_tokens == 0
    assert line.expected_wait_seconds == 0


def test_requests_take_turns_in_order() -> None:
    async def story(clients: ConcurrentClients) -> None:
        tasks = [await clients.comes(name) for name in "abcde"]
        assert clients.begun == ["a", "b"]
        assert clients.line.waiting_tokens == 30
        await clients.ends("b")
        assert clients.begun == ["a", "b", "c"]
        for name in "acde":
            await clients.ends(name)
        await asyncio.gather(*tasks)
        assert clients.begun == list("abcde")

    with_crowd(story, WaitLine(2, 1000, 60))


def test_tokens_bound_what_runs_together() -> None:
    async def story(clients: ConcurrentClients) -> None:
        tasks = [await clients.comes(name, tokens=40) for name in "abc"]
        assert clients.begun == ["a", "b"]
        for name in "abc":
            await clients.ends(name)
        await asyncio.gather(*tasks)

    with_crowd(story, WaitLine(100, 100, 60))


def test_a_request_beyond_the_bound_runs_alone() -> None:
    async def story(clients: ConcurrentClients) -> None:
        small = await clients.comes("small")
        huge = await clients.comes("huge", tokens=10**9)
        late = await clients.comes("late")
        assert clients.begun == ["small"]
        await clients.ends("small")
        assert clients.begun == ["small", "huge"]
        await clients.ends("huge")
        assert clients.begun == ["small", "huge", "late"]
        await clients.ends("late")
        await asyncio.gather(small, huge, late)

    with_crowd(story, WaitLine(100, 100, 60))


def test_a_client_that_leaves_gives_up_its_place() -> None:
    async def story(clients: ConcurrentClients) -> None:
        first, leaves, last = [await clients.comes(name) for name in ("first", "leaves", "last")]
        leaves.cancel()
        await turns_of_the_loop()
        assert clients.line.waiting_tokens == 10
        await clients.ends("first")
        assert clients.begun == ["first", "last"]
        await clients.ends("last")
        await asyncio.gather(first, last)

    with_crowd(story, WaitLine(1, 1000, 60))


def test_leaving_when_called_passes_the_turn_on() -> None:
    async def story(clients: ConcurrentClients) -> None:
        first, leaves, last = [await clients.comes(name) for name in ("first", "leaves", "last")]
        clients._ends["first"].set()
        await asyncio.sleep(0)  # the first ends and calls the second, which has not run yet
        leaves.cancel()
        await turns_of_the_loop()
        assert clients.begun[-1] == "last"
        await clients.ends("last")
        await asyncio.gather(first, last)

    with_crowd(story, WaitLine(1, 1000, 60))


def test_waiting_ends_after_the_timeout() -> None:
    async def story(clients: ConcurrentClients) -> None:
        first = await clients.comes("first")
        waits = await clients.comes("waits")
        with pytest.raises(DeadlineExceeded, match=r"0\.01 seconds"):
            await waits
        await clients.ends("first")
        await first

    with_crowd(story, WaitLine(1, 1000, 0.01))


def test_leaving_when_late_gives_up_one_place_alone() -> None:
    async def story(clients: ConcurrentClients) -> None:
        first = await clients.comes("first")
        leaves = await clients.comes("leaves")
        clients.line._timeout_seconds = 0.0
        clients.line._fail_late()  # its task has not run yet
        clients.line._timeout_seconds = 60.0
        leaves.cancel()
        await turns_of_the_loop()
        later = await clients.comes("later")
        assert clients.begun == ["first"]
        await clients.ends("first")
        await clients.ends("later")
        await asyncio.gather(first, later)

    with_crowd(story, WaitLine(1, 1000, 60))


def test_nobody_is_called_while_the_event_loop_is_late() -> None:
    async def story(clients: ConcurrentClients) -> None:
        names = [str(number) for number in range(3 + 2 * MAX_CALLED)]
        tasks = [await clients.comes(name) for name in names]
        line = clients.line
        assert clients.begun == names[:3]
        line._lag.seconds = 2 * LATE_SECONDS
        await clients.ends("0")
        await clients.ends("1")
        assert clients.begun == names[:3]
        line._max_requests = 1000
        await clients.ends("2")  # the last that ran: somebody always runs
        assert clients.begun == names[:4]
        line._lag.seconds = 0.0
        line._call_if_in_time()
        await turns_of_the_loop()
        assert clients.begun == names[: 4 + MAX_CALLED]
        for name in names[3:]:
            await clients.ends(name)
        await asyncio.gather(*tasks)
        assert clients.begun == names

    with_crowd(story, WaitLine(3, 10**6, 60))


def test_the_lag_is_measured_while_somebody_waits() -> None:
    async def story(clients: ConcurrentClients) -> None:
        tasks = [await clients.comes(name) for name in "ab"]
        time.sleep(0.1)  # the event loop stands still
        seen = []
        for _ in range(5):
            await asyncio.sleep(0)
            seen.append(clients.line._lag.seconds)
        assert max(seen) >= 0.05
        await clients.ends("a")
        await clients.ends("b")
        await asyncio.gather(*tasks)
        while clients.line._lag._needed is not None:
            await asyncio.sleep(0.001)

    with_crowd(story, WaitLine(1, 1000, 60))


def test_the_expected_wait_follows_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request of 76 + 24 tokens ends each second: a token takes 10 ms."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    tokens = 100 - TOKENS_PER_REQUEST

    async def story(clients: ConcurrentClients) -> None:
        nonlocal now
        tasks = [await clients.comes(str(number), tokens) for number in range(60)]
        assert clients.line.expected_wait_seconds == 0  # the speed is not known yet
        for number in range(20):
            now += 1.0
            await clients.ends(str(number))
        waiting = 60 - 20 - 1
        assert clients.line.expected_wait_seconds == pytest.approx(waiting, rel=0.01)
        for number in range(20, 60):
            await clients.ends(str(number))
        await asyncio.gather(*tasks)

    assert WINDOW_SECONDS < 1
    with_crowd(story, WaitLine(1, 10**6, 1e9))


def test_a_machine_that_stalls_is_not_believed_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)

    async def story(clients: ConcurrentClients) -> None:
        nonlocal now
        tasks = [await clients.comes(str(number), 76) for number in range(40)]
        for number in range(40):
            if number == 5:
                before = clients.line.expected_wait_seconds
            now += 3600.0 if number == 5 else 1.0
            await clients.ends(str(number))
            if number == 5:
                assert clients.line.expected_wait_seconds < 2 * before
        await asyncio.gather(*tasks)

    with_crowd(story, WaitLine(1, 10**6, 1e9))
