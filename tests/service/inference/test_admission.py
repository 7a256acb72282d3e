"""Admission refuses by what is waiting, for each lane by its own limit, and holds bulk in line."""

import asyncio
import math

import pytest
from prometheus_client import CollectorRegistry, Histogram

from service.arrays import Priority
from service.errors import Overloaded
from service.inference.admission import (
    ALWAYS_ADMITTED,
    BYTES_PER_TOKEN,
    LARGE_TOKENS,
    MAX_BODIES,
    MAX_COUNTED_TOKENS,
    REQUESTS_PER_THREAD,
    Admission,
)
from service.limits import WaitLimits

LIMITS = WaitLimits(interactive=1, bulk=10)
MAX_BODY_BYTES = 1 << 20
SHORT, LARGE = 100, (LARGE_TOKENS + 1) * BYTES_PER_TOKEN


class Waiting:
    """A batcher in which a request would wait for `seconds`, by lane."""

    def __init__(self, seconds: WaitLimits) -> None:
        self.seconds = seconds

    def check_room(self, lane: Priority, tokens: int = 0, delay_seconds: float = 0.0) -> None:
        seconds = self.seconds.of(lane) + delay_seconds
        if seconds > LIMITS.of(lane):
            raise Overloaded("busy", seconds)

    def waiting_tokens(self, lane: Priority) -> int:
        return 0


def admission(queue: Waiting | None = None, max_queue_tokens: int = 10**9) -> Admission:
    registry = CollectorRegistry()
    return Admission(
        queue or Waiting(WaitLimits(0, 0)),
        threads=1,
        max_queue_tokens=max_queue_tokens,
        max_body_bytes=MAX_BODY_BYTES,
        request_timeout_seconds=60,
        wait_seconds=Histogram("wait_seconds", "Waiting", registry=registry),
    )


class Held:
    """Requests that stay where they are until the end of the block."""

    def __init__(self, made: Admission) -> None:
        self._admission = made
        self._end = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def come(self, count: int, body_bytes: int, lane: Priority = "bulk") -> None:
        async def request() -> None:
            async with self._admission.turn(lane, body_bytes):
                await self._end.wait()

        self._tasks += [asyncio.create_task(request()) for _ in range(count)]
        for _ in range(5):
            await asyncio.sleep(0)

    async def end(self) -> None:
        self._end.set()
        await asyncio.gather(*self._tasks)


@pytest.mark.parametrize(
    ("lane", "seconds", "refused"),
    [
        ("bulk", 9.9, False),
        ("bulk", 10.1, True),
        ("interactive", 0.9, False),
        ("interactive", 1.1, True),
    ],
)
def test_each_lane_has_its_own_limit(lane: Priority, seconds: float, refused: bool) -> None:
    waits = WaitLimits(0, seconds) if lane == "bulk" else WaitLimits(seconds, 0)
    made = admission(Waiting(waits))
    if not refused:
        made.check(lane)
        return
    with pytest.raises(Overloaded) as caught:
        made.check(lane)
    assert caught.value.retry_after_seconds == math.ceil(seconds)


@pytest.mark.parametrize(("requests", "refused"), [(ALWAYS_ADMITTED - 1, False), (8, True)])
def test_a_late_event_loop_refuses_only_a_crowd(requests: int, refused: bool) -> None:
    made = admission()
    made.requests = requests
    if refused:
        with pytest.raises(Overloaded):
            made.check("interactive", delay_seconds=5)
    else:
        made.check("interactive", delay_seconds=5)


def test_interactive_requests_never_stand_in_line() -> None:
    async def story() -> None:
        made = admission()
        held = Held(made)
        await held.come(10 * REQUESTS_PER_THREAD, SHORT)
        await held.come(1000, SHORT, "interactive")
        assert made.requests == REQUESTS_PER_THREAD + 1000
        await held.end()
        assert made.requests == 0

    asyncio.run(story())


def test_a_large_request_holds_no_short_one_up() -> None:
    async def story() -> None:
        made = admission()
        held = Held(made)
        await held.come(20, LARGE)
        large = made.requests
        assert 0 < large < 20
        await held.come(3, SHORT)
        assert made.requests == large + 3
        await held.end()

    asyncio.run(story())


def test_requests_in_line_count_for_the_queue_bound() -> None:
    async def story() -> None:
        made = admission(max_queue_tokens=2 * MAX_COUNTED_TOKENS)
        held = Held(made)
        tokens = 10 * MAX_COUNTED_TOKENS
        while made.waiting_tokens("bulk") < tokens:
            made.check("bulk")
            await held.come(1, 4000 * BYTES_PER_TOKEN)
        await held.come(2, 4000 * BYTES_PER_TOKEN)
        with pytest.raises(Overloaded, match="at most 1024"):
            made.check("bulk")
        made.check("interactive")
        await held.end()
        made.check("bulk")

    asyncio.run(story())


def test_bodies_in_line_are_bounded_in_bytes() -> None:
    async def story() -> None:
        made = admission()
        held = Held(made)
        room = MAX_BODIES * MAX_BODY_BYTES
        await held.come(made._large._max_requests, MAX_BODY_BYTES)  # these run
        await held.come(MAX_BODIES, MAX_BODY_BYTES)
        with pytest.raises(Overloaded, match=f"hold {room} bytes"):
            async with made.turn("bulk", MAX_BODY_BYTES):
                pass
        await held.end()
        async with made.turn("bulk", MAX_BODY_BYTES):
            pass

    asyncio.run(story())


def test_a_failing_request_frees_its_place() -> None:
    async def story() -> None:
        made = admission()
        for _ in range(2 * REQUESTS_PER_THREAD):
            with pytest.raises(ZeroDivisionError):
                async with made.turn("bulk", SHORT):
                    raise ZeroDivisionError
        assert made.requests == 0
        async with made.turn("bulk", SHORT):
            assert made.requests == 1

    asyncio.run(story())


def test_who_has_a_place_gives_it_up_in_line() -> None:
    async def story() -> None:
        made = admission()
        held = Held(made)
        await held.come(REQUESTS_PER_THREAD, SHORT)
        entered = asyncio.Event()

        async def moves() -> None:
            async with (
                made.turn("interactive", SHORT),
                made.turn("bulk", SHORT, has_a_place=True),
            ):
                assert made.requests <= REQUESTS_PER_THREAD
                entered.set()

        task = asyncio.create_task(moves())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not entered.is_set()
        assert made.requests == REQUESTS_PER_THREAD
        await held.end()
        await task
        assert made.requests == 0

    asyncio.run(story())
